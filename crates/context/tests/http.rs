//! Deadlines and traces in headers, and contexts of requests.
#![cfg(feature = "http")]

use std::convert::Infallible;
use std::future::{Pending, Ready, pending, ready};
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame};
use rendez_context::http::{
    ContextLayer, ExtractError, GRPC_TIMEOUT, ParseTimeoutError, RequestOver, TRACEPARENT,
    TraceParent, extract, format_timeout, inject, parse_timeout,
};
use rendez_context::{Context, ContextError};
use tower_layer::Layer;
use tower_service::Service;

const HOUR: Duration = Duration::from_secs(3600);

fn parse(text: &str) -> Result<Duration, ParseTimeoutError> {
    parse_timeout(&HeaderValue::from_bytes(text.as_bytes()).unwrap())
}

#[test]
fn timeouts_are_read_by_the_grammar_and_nothing_else() {
    for (text, nanos) in [
        ("1n", 1),
        ("2u", 2_000),
        ("20m", 20_000_000),
        ("3S", 3_000_000_000),
        ("00000004S", 4_000_000_000),
        ("5M", 300_000_000_000),
        ("6H", 21_600_000_000_000),
        ("99999999m", 99_999_999_000_000),
    ] {
        assert_eq!(parse(text), Ok(Duration::from_nanos(nanos)), "{text}");
    }
    let most = Duration::from_secs(99_999_999 * 3600);
    assert_eq!(parse("99999999H"), Ok(most));
    for (text, error) in [
        ("", ParseTimeoutError::NotANumber),
        ("S", ParseTimeoutError::NotANumber),
        ("-1S", ParseTimeoutError::NotANumber),
        ("+1S", ParseTimeoutError::NotANumber),
        (" 1S", ParseTimeoutError::NotANumber),
        ("1 S", ParseTimeoutError::NotANumber),
        ("1.5S", ParseTimeoutError::NotANumber),
        ("1_0S", ParseTimeoutError::NotANumber),
        ("0x1S", ParseTimeoutError::NotANumber),
        ("\u{661}S", ParseTimeoutError::NotANumber),
        ("1mS", ParseTimeoutError::NotANumber),
        ("1", ParseTimeoutError::BadUnit),
        ("12345678", ParseTimeoutError::BadUnit),
        ("1s", ParseTimeoutError::BadUnit),
        ("1h", ParseTimeoutError::BadUnit),
        ("1N", ParseTimeoutError::BadUnit),
        ("1S ", ParseTimeoutError::BadUnit),
        ("1\u{b5}", ParseTimeoutError::BadUnit),
        ("100000000n", ParseTimeoutError::TooLong),
        ("000000001S", ParseTimeoutError::TooLong),
        ("18446744073709551616H", ParseTimeoutError::TooLong),
        ("0S", ParseTimeoutError::NotPositive),
        ("00000000n", ParseTimeoutError::NotPositive),
    ] {
        assert_eq!(parse(text), Err(error), "{text:?}");
    }
}

#[test]
fn timeouts_are_written_in_the_finest_unit_that_holds_them_rounded_up() {
    for (timeout, text) in [
        (Duration::ZERO, "1n"),
        (Duration::from_nanos(99_999_999), "99999999n"),
        (Duration::from_nanos(100_000_000), "100000u"),
        (Duration::from_nanos(100_000_001), "100001u"),
        (Duration::from_secs(100), "100000m"),
        (Duration::from_secs(99_999_999), "99999999S"),
        (Duration::from_secs(100_000_000), "1666667M"),
        (Duration::MAX, "99999999H"),
    ] {
        let written = format_timeout(timeout);
        assert_eq!(written, text);
        let read = parse_timeout(&written).unwrap();
        assert!(read >= timeout.min(Duration::from_secs(99_999_999 * 3600)));
    }
}

/// Of the flags those two are sent on that are known: sampled, and random of level 2.
#[test]
fn unknown_flags_of_a_trace_are_sent_on_as_zero() {
    const IDS: &str = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
    for version in ["00", "01", "cc"] {
        for flags in 0..=u8::MAX {
            let trace: TraceParent = format!("{version}-{IDS}-{flags:02x}").parse().unwrap();
            assert_eq!(trace.flags, flags, "as it was read");
            assert_eq!(trace.is_sampled(), flags & 1 == 1);
            let sent = format!("00-{IDS}-{:02x}", flags & 3);
            assert_eq!(trace.to_string(), sent);
            assert_eq!(HeaderValue::from(trace), sent);
            let mut headers = HeaderMap::new();
            inject(&Context::background().with_value(trace), &mut headers);
            assert_eq!(headers[TRACEPARENT], sent);
        }
    }
}

#[test]
fn traces_are_read_as_specified() {
    const ID: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";
    let parse = |text: String| text.parse::<TraceParent>();
    let trace = parse(format!("00-{ID}-{SPAN}-01")).unwrap();
    assert_eq!(trace.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
    assert_eq!((trace.parent_id, trace.flags), (0xb7ad_6b71_6920_3331, 1));
    assert_eq!(trace.to_string(), format!("00-{ID}-{SPAN}-01"));
    for later in ["01", "cc"] {
        assert_eq!(parse(format!("{later}-{ID}-{SPAN}-01")), Ok(trace));
        assert_eq!(parse(format!("{later}-{ID}-{SPAN}-01-more")), Ok(trace));
        assert!(parse(format!("{later}-{ID}-{SPAN}-01more")).is_err());
    }
    let zeros = "0".repeat(32);
    for bad in [
        String::new(),
        format!("00-{ID}-{SPAN}"),
        format!("00-{ID}-{SPAN}-0"),
        format!("00-{ID}-{SPAN}-01-"),
        format!("00-{ID}-{SPAN}-01-more"),
        format!("ff-{ID}-{SPAN}-01"),
        format!("0-0{ID}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", ID.to_uppercase()),
        format!("00-{zeros}-{SPAN}-01"),
        format!("00-{ID}-{}-01", &zeros[..16]),
        format!("00-{ID}-{SPAN}-0g"),
        format!("00-{ID}-{SPAN}-+1"),
        format!("00 {ID} {SPAN} 01"),
        format!("00-{}\u{e9}-{SPAN}-01", &ID[2..]),
    ] {
        assert!(parse(bad.clone()).is_err(), "{bad}");
    }
}

fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_static(value));
    }
    headers
}

#[test]
fn what_a_context_has_comes_out_at_the_other_end() {
    let trace = TraceParent {
        trace_id: 1,
        parent_id: 2,
        flags: 0,
    };
    let background = Context::background();
    let (ctx, _cancel) = background.with_value(trace).with_timeout(HOUR);
    let mut sent = headers(&[("grpc-timeout", "stale"), ("traceparent", "stale")]);
    inject(&ctx, &mut sent);
    assert_eq!(sent.len(), 2);
    let (got, _cancel) = extract(&background, &sent).unwrap();
    assert!(got.remaining().unwrap() > HOUR - Duration::from_secs(60));
    assert_eq!(got.value::<TraceParent>(), Some(&trace));

    inject(&background, &mut sent);
    assert!(sent.is_empty());
    let (got, _cancel) = extract(&ctx, &sent).unwrap();
    assert_eq!(got.deadline(), ctx.deadline(), "the parent's own stays");

    let (past, _cancel) = background.with_timeout(Duration::ZERO);
    inject(&past, &mut sent);
    assert_eq!(sent[GRPC_TIMEOUT], "1n");
    assert!(!sent.contains_key(TRACEPARENT));
}

#[test]
fn bad_timeouts_are_errors_and_bad_traces_are_passed_over() {
    let extract = |pairs: &[_]| extract(&Context::background(), &headers(pairs)).map(|(c, _)| c);
    let bad = extract(&[("grpc-timeout", "1day")]).unwrap_err();
    assert_eq!(bad, ExtractError::Timeout(ParseTimeoutError::BadUnit));
    let twice = extract(&[("grpc-timeout", "1S"), ("grpc-timeout", "2S")]).unwrap_err();
    assert_eq!(twice, ExtractError::Repeated);
    let ctx = extract(&[("traceparent", "whatever")]).unwrap();
    assert!(ctx.value::<TraceParent>().is_none());
}

/// Keeps the context of the request, and answers with `answer` or never.
#[derive(Default)]
struct Handler {
    seen: Option<Context>,
    answers: bool,
}

/// A body of one frame.
#[derive(Default)]
struct Once(Option<&'static [u8]>);

impl Body for Once {
    type Data = &'static [u8];
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> Poll<Option<Result<Frame<&'static [u8]>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }
}

enum Answer {
    Now(Ready<Result<Response<Once>, Infallible>>),
    Never(Pending<Result<Response<Once>, Infallible>>),
}

impl Future for Answer {
    type Output = Result<Response<Once>, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Now(answer) => pin!(answer).poll(cx),
            Self::Never(answer) => pin!(answer).poll(cx),
        }
    }
}

impl Service<Request<()>> for &mut Handler {
    type Response = Response<Once>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Answer {
        self.seen = request.extensions().get().cloned();
        if self.answers {
            Answer::Now(ready(Ok(Response::new(Once(Some(b"body"))))))
        } else {
            Answer::Never(pending())
        }
    }
}

fn request(pairs: &[(&'static str, &'static str)]) -> Request<()> {
    let mut request = Request::new(());
    *request.headers_mut() = headers(pairs);
    request
}

#[test]
fn a_request_that_is_dropped_cancels_its_context() {
    let mut handler = Handler::default();
    let (server, stop) = Context::background().with_cancel();
    let mut service = ContextLayer::new(&server).layer(&mut handler);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let mut response = Box::pin(service.call(request(&[("grpc-timeout", "1H")])));
    assert!(response.as_mut().poll(&mut cx).is_pending());
    drop(response); // what a server does when the client goes away
    drop(service);
    let ctx = handler.seen.take().unwrap();
    assert_eq!(ctx.err(), Some(ContextError::Canceled));
    assert!(ctx.cause().unwrap().is::<RequestOver>());
    assert!(ctx.deadline().is_some());
    assert_eq!((server.err(), server.__n_children()), (None, 0));
    drop(stop);
}

#[test]
fn a_request_lives_until_its_body_has_ended() {
    for read_all in [true, false] {
        let mut handler = Handler {
            answers: true,
            ..Handler::default()
        };
        let mut service = ContextLayer::new(&Context::background()).layer(&mut handler);
        let mut cx = std::task::Context::from_waker(Waker::noop());
        let Poll::Ready(Ok(response)) = pin!(service.call(request(&[]))).poll(&mut cx) else {
            panic!("it answers at once");
        };
        drop(service);
        let ctx = handler.seen.take().unwrap();
        let mut body = Box::pin(response.into_body());
        assert!(matches!(
            body.as_mut().poll_frame(&mut cx),
            Poll::Ready(Some(_))
        ));
        assert_eq!(ctx.err(), None);
        if read_all {
            assert!(matches!(
                body.as_mut().poll_frame(&mut cx),
                Poll::Ready(None)
            ));
            assert_eq!(ctx.err(), Some(ContextError::Canceled));
        }
        drop(body);
        assert!(ctx.cause().unwrap().is::<RequestOver>());
    }
}

#[test]
fn a_request_whose_timeout_cannot_be_read_is_refused() {
    let mut handler = Handler::default();
    let mut service = ContextLayer::new(&Context::background()).layer(&mut handler);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    let call = service.call(request(&[("grpc-timeout", "123456789S")]));
    let Poll::Ready(Ok(response)) = pin!(call).poll(&mut cx) else {
        panic!("it is refused at once");
    };
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    drop(service);
    assert!(handler.seen.is_none());
}

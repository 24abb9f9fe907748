//! How many processors this process may use, on Linux: its affinity, and the quota of its
//! control groups.
//!
//! The standard library rounds a quota down; Go rounds it up, and so does this: of 2.5
//! processors two workers would leave half of one unused. Of the groups a process is in, from its
//! own up to the root, the tightest counts.
//!
//! Files are read through a function, so that the tests can show it others.

use std::collections::BTreeSet;

/// Gives a file's text, if there is such a file.
pub(crate) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The processors this process may use; `None` if the system does not say.
pub(crate) fn processors(read: Read<'_>) -> Option<usize> {
    let status = read("/proc/thread-self/status")?;
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    // What is allowed may not be there.
    let online = read("/sys/devices/system/cpu/online")?;
    let n = list(allowed)?.intersection(&list(&online)?).count();
    let quota = quota(read).unwrap_or(usize::MAX);
    (n > 0).then(|| n.min(quota))
}

/// A list as the kernel writes it: `0-3,8`.
fn list(text: &str) -> Option<BTreeSet<usize>> {
    let mut all = BTreeSet::new();
    for range in text.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        // No machine has more.
        all.extend(first..=last.min(first + (1 << 16)));
    }
    Some(all)
}

/// The quota, in processors, rounded up; `None` if there is none.
fn quota(read: Read<'_>) -> Option<usize> {
    let groups = read("/proc/self/cgroup")?;
    let mounts = read("/proc/self/mountinfo")?;
    // "<number>:<controllers>:<path>": the second version has neither number nor controllers.
    let path_of = |of: &dyn Fn(&str, &str) -> bool| {
        groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (number, controllers) = (parts.next()?, parts.next()?);
            of(number, controllers).then(|| parts.next())?
        })
    };
    let has_cpu = |list: &str| list.split(',').any(|name| name == "cpu");
    // Where the first version has this controller the second has not.
    if let Some(path) = path_of(&|_, controllers| has_cpu(controllers)) {
        let dirs = directories(
            &mounts,
            &|fs, options| fs == "cgroup" && has_cpu(options),
            path,
        )?;
        return tightest(&dirs, |dir| {
            let number = |name| read(&format!("{dir}/{name}"))?.trim().parse().ok();
            ratio(number("cpu.cfs_quota_us")?, number("cpu.cfs_period_us")?)
        });
    }
    let path = path_of(&|number, controllers| number == "0" && controllers.is_empty())?;
    let dirs = directories(&mounts, &|fs, _| fs == "cgroup2", path)?;
    tightest(&dirs, |dir| {
        // "max 100000" or "150000 100000".
        let max = read(&format!("{dir}/cpu.max"))?;
        let (quota, period) = max.trim().split_once(' ')?;
        ratio(quota.parse().ok()?, period.parse().ok()?)
    })
}

/// The directories of the group at `path` and of those above it, as far as they are mounted.
fn directories(
    mounts: &str,
    is_it: &dyn Fn(&str, &str) -> bool,
    path: &str,
) -> Option<Vec<String>> {
    mounts.lines().find_map(|line| {
        // "36 35 98:0 <root> <mount point> <options> <fields>… - <type> <source> <options>"
        let (mount, about) = line.split_once(" - ")?;
        let mut about = about.split(' ');
        let (fs, options) = (about.next()?, about.nth(1)?);
        let mut mount = mount.split(' ').skip(3);
        let (root, point) = (mount.next()?, mount.next()?);
        if !is_it(fs, options) {
            return None;
        }
        let below = path.strip_prefix(root.trim_end_matches('/'))?;
        let mut dir = format!("{}{}", point.trim_end_matches('/'), below);
        dir.truncate(dir.trim_end_matches('/').len());
        let mut all = vec![dir.clone()];
        while dir.len() > point.len() {
            dir.truncate(dir.rfind('/')?);
            all.push(dir.clone());
        }
        Some(all)
    })
}

fn tightest(dirs: &[String], quota: impl Fn(&str) -> Option<usize>) -> Option<usize> {
    dirs.iter().filter_map(|dir| quota(dir)).min()
}

/// So much time in each period, as processors. The first version writes -1 for no quota.
fn ratio(quota: i64, period: i64) -> Option<usize> {
    if quota <= 0 || period <= 0 {
        return None;
    }
    usize::try_from((quota - 1) / period + 1).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: (&str, &str) = (
        "/proc/thread-self/status",
        "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\nMems_allowed:\t1\n",
    );
    const ONLINE: (&str, &str) = ("/sys/devices/system/cpu/online", "0-5\n");
    const V2: (&str, &str) = (
        "/proc/self/mountinfo",
        "22 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
         30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
    );

    fn sees(files: &[(&str, &str)]) -> Option<usize> {
        processors(&|path| {
            let file = files.iter().find(|(name, _)| *name == path);
            file.map(|(_, text)| (*text).to_owned())
        })
    }

    #[test]
    fn without_a_quota_the_affinity_counts_as_far_as_it_is_there() {
        assert_eq!(sees(&[STATUS, ONLINE]), Some(6));
        let pinned = (STATUS.0, "Cpus_allowed_list:\t1,3-4,7\n");
        assert_eq!(sees(&[pinned, ONLINE]), Some(3));
        assert_eq!(sees(&[ONLINE]), None);
        assert_eq!(sees(&[(STATUS.0, "Cpus_allowed_list:\tx\n"), ONLINE]), None);
    }

    #[test]
    fn a_quota_of_the_second_version_is_rounded_up_and_the_tightest_counts() {
        let group = ("/proc/self/cgroup", "0::/user.slice/app\n");
        let files = [
            STATUS,
            ONLINE,
            V2,
            group,
            ("/sys/fs/cgroup/user.slice/app/cpu.max", "250000 100000\n"),
            ("/sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"),
        ];
        assert_eq!(sees(&files), Some(3));
        let mut tighter = files.to_vec();
        tighter[5].1 = "200000 100000\n";
        assert_eq!(sees(&tighter), Some(2));
        let mut none = files.to_vec();
        none[4].1 = "max 100000\n";
        assert_eq!(sees(&none), Some(6));
        none[4].1 = "5000 100000\n";
        assert_eq!(sees(&none), Some(1));
        // More than there is.
        none[4].1 = "900000 100000\n";
        assert_eq!(sees(&none), Some(6));
    }

    #[test]
    fn inside_a_container_the_root_of_the_mount_is_its_own_group() {
        let mounts = (
            V2.0,
            "30 22 0:26 /docker/7f /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
        );
        for group in ["0::/docker/7f\n", "0::/docker/7f/\n"] {
            let files = [
                STATUS,
                ONLINE,
                mounts,
                ("/proc/self/cgroup", group),
                ("/sys/fs/cgroup/cpu.max", "150000 100000\n"),
            ];
            assert_eq!(sees(&files), Some(2), "{group}");
        }
        let own = [
            STATUS,
            ONLINE,
            V2,
            ("/proc/self/cgroup", "0::/\n"),
            ("/sys/fs/cgroup/cpu.max", "150000 100000\n"),
        ];
        assert_eq!(sees(&own), Some(2));
    }

    #[test]
    fn a_quota_of_the_first_version_is_found_by_its_controller() {
        let files = [
            STATUS,
            ONLINE,
            (
                "/proc/self/cgroup",
                "5:cpuset:/\n4:cpu,cpuacct:/batch/7\n1:name=systemd:/x\n0::/x\n",
            ),
            (
                V2.0,
                "31 22 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                 32 22 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                 33 22 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
            ),
            (
                "/sys/fs/cgroup/cpu,cpuacct/batch/7/cpu.cfs_quota_us",
                "-1\n",
            ),
            (
                "/sys/fs/cgroup/cpu,cpuacct/batch/7/cpu.cfs_period_us",
                "100000\n",
            ),
            (
                "/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_quota_us",
                "310000\n",
            ),
            (
                "/sys/fs/cgroup/cpu,cpuacct/batch/cpu.cfs_period_us",
                "100000\n",
            ),
        ];
        assert_eq!(sees(&files), Some(4));
    }

    #[test]
    fn nonsense_is_no_quota() {
        for max in ["", "max", "0 100000", "x y", "100000 0", "-5 100000"] {
            let files = [
                STATUS,
                ONLINE,
                V2,
                ("/proc/self/cgroup", "0::/\n"),
                ("/sys/fs/cgroup/cpu.max", max),
            ];
            assert_eq!(sees(&files), Some(6), "{max}");
        }
        let strange = ("/proc/self/cgroup", "0:/\n::\n7\n");
        assert_eq!(sees(&[STATUS, ONLINE, V2, strange]), Some(6));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_machine_says_what_the_standard_library_says_or_half_a_processor_more() {
        let theirs = rendez_core::shim::thread::available_parallelism();
        let theirs = theirs.expect("the system says").get();
        let ours = processors(&|path| std::fs::read_to_string(path).ok());
        if let Some(ours) = ours {
            assert!(ours == theirs || ours == theirs + 1, "{ours} and {theirs}");
        }
    }
}

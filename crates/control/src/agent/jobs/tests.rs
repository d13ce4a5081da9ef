#![allow(clippy::unwrap_used, clippy::expect_used)]

use chrono::TimeDelta;

use super::*;
use crate::prewarm::Window;

fn order(operation: &str) -> WarmOrder {
    WarmOrder {
        operation: operation.into(),
        service: "default".into(),
        trees: vec!["/m.m3u8".into()],
        urls: vec![],
        prefixes: vec![],
        nodes: vec!["e1".into()],
        max_bps: None,
        window: None,
    }
}

fn disk() -> (tempfile::TempDir, Arc<Disk>) {
    let dir = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(dir.path()).unwrap());
    (dir, disk)
}

fn states(jobs: &Jobs) -> Vec<(String, OperationState)> {
    jobs.report(Instant::now()).into_iter().map(|job| (job.operation, job.state)).collect()
}

#[tokio::test]
async fn jobs_run_in_order_and_once_per_operation() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    for operation in ["a", "b", "a"] {
        jobs.add(order(operation)).await;
    }
    let Next::Run(job) = jobs.next(Utc::now()) else { panic!("a job is due") };
    assert_eq!(job.order.operation, "a");
    jobs.finish("a", OperationState::Succeeded, None).await;
    jobs.add(order("a")).await;
    let Next::Run(job) = jobs.next(Utc::now()) else { panic!("a job is due") };
    assert_eq!(job.order.operation, "b");
    assert!(matches!(jobs.next(Utc::now()), Next::Wait(None)), "a is not run again");
}

#[tokio::test]
async fn a_full_queue_fails_the_new_job_and_says_so() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    for i in 0..MAX_WAITING {
        jobs.add(order(&i.to_string())).await;
    }
    jobs.add(order("late")).await;
    let late = jobs.report(Instant::now()).into_iter().find(|job| job.operation == "late").unwrap();
    assert_eq!(late.state, OperationState::Failed);
    assert!(late.error.unwrap().contains("64"));
}

#[tokio::test]
async fn a_restart_resumes_what_was_unfinished_and_still_reports_the_rest() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(Arc::clone(&disk));
    for operation in ["done", "running", "waiting", "cancelled"] {
        jobs.add(order(operation)).await;
    }
    let Next::Run(job) = jobs.next(Utc::now()) else { panic!("a job is due") };
    job.live.found(Some(10));
    job.live.done(10, 0, true);
    jobs.finish("done", OperationState::Succeeded, None).await;
    let Next::Run(_) = jobs.next(Utc::now()) else { panic!("a job is due") };
    jobs.cancel("cancelled").await;

    let jobs = Jobs::load(disk);
    use OperationState::{Cancelled, Pending, Succeeded};
    let expected =
        [("done", Succeeded), ("running", Pending), ("waiting", Pending), ("cancelled", Cancelled)];
    assert_eq!(states(&jobs), expected.map(|(operation, state)| (operation.to_owned(), state)));
    assert_eq!(jobs.report(Instant::now())[0].bytes_done, 10);
    let Next::Run(job) = jobs.next(Utc::now()) else { panic!("a job is due") };
    assert_eq!((job.order.operation.as_str(), job.order.trees.len()), ("running", 1));
}

#[tokio::test]
async fn finished_jobs_are_reported_until_told_and_for_ten_minutes() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    jobs.add(order("a")).await;
    jobs.finish("a", OperationState::Succeeded, None).await;
    let later = Instant::now() + REPORTED * 2;
    let report = jobs.report(later);
    assert_eq!(report.len(), 1, "no selector has heard of it yet");
    jobs.told(&report);
    assert_eq!(jobs.report(Instant::now()).len(), 1, "told, but not for long");
    assert_eq!(jobs.report(later).len(), 0);
}

#[tokio::test]
async fn finished_jobs_are_bounded() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    for i in 0..MAX_FINISHED + 5 {
        jobs.add(order(&i.to_string())).await;
        jobs.finish(&i.to_string(), OperationState::Succeeded, None).await;
    }
    let report = jobs.report(Instant::now());
    assert_eq!(report.len(), MAX_FINISHED);
    assert_eq!(report[0].operation, "5", "the oldest are forgotten");
}

#[tokio::test]
async fn windows_are_kept_and_do_not_block_others() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    let now = Utc::now();
    let window = |from: i64, to: i64| {
        let at = |seconds| Some(now + TimeDelta::seconds(seconds));
        Some(Window { not_before: at(from), not_after: at(to) })
    };
    jobs.add(WarmOrder { window: window(60, 120), ..order("early") }).await;
    jobs.add(WarmOrder { window: window(-60, 120), ..order("open") }).await;
    jobs.add(WarmOrder { window: window(-60, -1), ..order("late") }).await;

    let Next::Run(job) = jobs.next(now) else { panic!("a window is open") };
    assert_eq!(job.order.operation, "open");
    let Next::Late(operation) = jobs.next(now) else { panic!("a window is closed") };
    assert_eq!(operation, "late");
    jobs.finish("late", OperationState::Failed, None).await;
    let Next::Wait(Some(wait)) = jobs.next(now) else { panic!("one has to wait") };
    assert_eq!(wait, Duration::from_secs(60));
    assert!(matches!(jobs.next(now + TimeDelta::seconds(61)), Next::Run(_)));
}

#[tokio::test]
async fn a_cancelled_or_failed_job_begins_anew_when_it_is_ordered_again() {
    let (_dir, disk) = disk();
    let jobs = Jobs::load(disk);
    jobs.add(order("a")).await;
    jobs.cancel("a").await;
    assert!(matches!(jobs.next(Utc::now()), Next::Wait(None)));
    jobs.add(order("a")).await;
    let Next::Run(job) = jobs.next(Utc::now()) else { panic!("the job is due again") };
    assert!(!job.cancel.is_cancelled());
    assert_eq!(states(&jobs), [("a".to_owned(), OperationState::Running)]);
}

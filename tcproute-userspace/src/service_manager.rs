//! What systemd is told of the daemon (sd_notify(3)): that it is ready, that it lives, that it stops. Who was started
//! otherwise tells nobody.

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{MissedTickBehavior, interval};
use tracing::warn;

use crate::agent::Handle;

/// Routes are in force.
pub fn ready(workloads: usize) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("routes in force for {workloads} workloads"))]);
}

/// It waits for its sources.
pub fn starting() {
    tell(&[NotifyState::Status("waiting for the sources")]);
}

/// It begins to look at its configuration again; [`ready`] ends that.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!("the service manager is not told of the reload: {error}"),
    }
}

/// It stops.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Tells that it lives, as often as is wanted, for as long as the agent answers.
pub async fn watch(agent: Handle) {
    let Some(patience) = watchdog_enabled() else { return };
    let mut ticks = interval((patience / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while agent.is_alive() {
        ticks.tick().await;
        match agent.counters().await {
            Ok(_) => tell(&[NotifyState::Watchdog]),
            Err(_) if !agent.is_alive() => return,
            // Not told, so that it is started again: routes stay in force meanwhile.
            Err(error) => warn!("the service manager is not told that all is well: {error:#}"),
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        warn!("the service manager cannot be told: {error}");
    }
}

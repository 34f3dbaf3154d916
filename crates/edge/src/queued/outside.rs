//! A delivery to a plain URL.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use queue::{Message, Queues, Task, backoff};
use tokio::time::{Instant, timeout_at};
use upstream::client::Body;
use upstream::clock::{self, wall_ms};
use upstream::outside::{Outside, OutsideRequest, Target, Trust};
use wire::Known;

use super::deliver::{Came, EXCERPT};
use super::message::Stored;
use crate::shared::Shared;

/// For the name's look-up, the connection and its handshake.
const CONNECT: Duration = Duration::from_secs(10);

/// A thread's client for plain URLs, made when the first one is to be asked.
pub(super) struct World {
    shared: Arc<Shared>,
    client: OnceLock<Outside>,
}

impl World {
    pub(super) fn new(shared: &Arc<Shared>) -> World {
        World { shared: shared.clone(), client: OnceLock::new() }
    }

    async fn client(&self) -> Result<&Outside, String> {
        if let Some(made) = self.client.get() {
            return Ok(made);
        }
        let trust = self.shared.trust.get_or_try_init(|| trust(&self.shared.queues)).await?;
        Ok(self.client.get_or_init(|| Outside::new(trust.clone(), None)))
    }

    /// Closes connections that were kept long enough; to be called about once a second.
    pub(super) fn sweep(&self) {
        if let Some(outside) = self.client.get() {
            outside.sweep(clock::now());
        }
    }
}

/// What the system trusts, read where nobody's requests wait for the disk.
async fn trust(queues: &Arc<Queues>) -> Result<Trust, String> {
    let queues = queues.clone();
    let read = move || {
        let trust = Trust::system().map_err(|why| why.to_string())?;
        if let Some(problem) = trust.problem() {
            queues.say(problem);
        }
        Ok(trust)
    };
    tokio::task::spawn_blocking(read).await.map_err(|why| why.to_string())?
}

/// Sends the message to the URL; what counts of the answer came before the deadline.
pub(super) async fn send(
    world: &World,
    task: &Task,
    message: &Message,
    signatures: &[u8],
    url: &str,
    deadline: Instant,
) -> Came {
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return Came::hopeless(&error),
    };
    let outside = match timeout_at(deadline, world.client()).await {
        Ok(Ok(outside)) => outside,
        Ok(Err(why)) => return Came::failed(&why),
        Err(_) => return Came::late(),
    };
    let content = message.content();
    let mut fields = content.fields.to_vec();
    fields.extend_from_slice(signatures);
    let body = Stored::new(task, message);
    let request = OutsideRequest {
        target: &target,
        method: content.method,
        path: content.target,
        fields: &fields,
        body: (body.bytes() > 0).then(|| Box::new(body) as Box<dyn Body>),
        time: deadline.saturating_duration_since(Instant::now()),
        connect: CONNECT,
        allow_private: task.allows_private(),
    };
    match outside.send(request).await {
        Ok(answer) => {
            let retry_after = answer.fields.get(Known::RetryAfter);
            let retry_after = retry_after.and_then(|value| backoff::retry_after(value, wall_ms()));
            let mut text = answer.body;
            text.truncate(EXCERPT);
            Came { status: answer.status, retry_after, text, hopeless: false }
        }
        Err(error) if error.is_worth_a_retry() => Came::failed(&error),
        Err(error) => Came::hopeless(&error),
    }
}

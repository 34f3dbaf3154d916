//! A delivery to a plain URL.

use std::sync::OnceLock;
use std::time::Duration;

use queue::{Message, Task, backoff};
use upstream::client::Body;
use upstream::clock::{self, wall_ms};
use upstream::outside::{Outside, OutsideRequest, Target, Trust};
use wire::Known;

use super::deliver::{Came, EXCERPT};
use super::message::Stored;

/// For the name's look-up, the connection and its handshake.
const CONNECT: Duration = Duration::from_secs(10);

/// A thread's client for plain URLs, made when the first one is to be asked.
#[derive(Default)]
pub(super) struct World(OnceLock<Result<Outside, String>>);

impl World {
    fn client(&self) -> Result<&Outside, &String> {
        let made = || Trust::system().map(|trust| Outside::new(trust, None)).map_err(|why| why.to_string());
        self.0.get_or_init(made).as_ref()
    }

    /// Closes connections that were kept long enough; to be called about once a second.
    pub(super) fn sweep(&self) {
        if let Some(Ok(outside)) = self.0.get() {
            outside.sweep(clock::now());
        }
    }
}

/// Sends the message to the URL.
pub(super) async fn send(
    world: &World,
    task: &Task,
    message: &Message,
    signatures: &[u8],
    url: &str,
) -> Came {
    let target = match Target::parse(url) {
        Ok(target) => target,
        Err(error) => return Came::hopeless(&error),
    };
    let outside = match world.client() {
        Ok(outside) => outside,
        Err(why) => return Came::failed(&why),
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
        time: task.timeout(),
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

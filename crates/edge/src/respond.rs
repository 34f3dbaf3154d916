//! The answers that this node makes itself, and the one place where an error becomes a status.

use std::borrow::Cow;
use std::time::Duration;

use upstream::client::{BodyError, Failed};
use upstream::{NoEndpoint, Overloaded};
use wire::{BadHead, Known, RequestHead, ResponseHead, write};

use crate::guard;
use crate::stats::Why;

/// Why a request isn't answered by a service, and what its client is told.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// For the metrics; none for an endpoint's failures, which are counted where they happen.
    pub(crate) why: Option<Why>,
    pub(crate) detail: Cow<'static, str>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) allow: Option<String>,
    /// The client is gone or what it sends can't be understood: nothing more is read from it.
    pub(crate) close: bool,
    /// No answer can reach the client.
    pub(crate) mute: bool,
}

impl Refusal {
    pub(crate) fn new(status: u16, why: Option<Why>, detail: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal {
            status,
            why,
            detail: detail.into(),
            retry_after: None,
            allow: None,
            close: false,
            mute: false,
        }
    }

    /// It may be asked again in a moment.
    pub(crate) fn again(status: u16, detail: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal { retry_after: Some(Duration::from_secs(1)), ..Refusal::new(status, None, detail) }
    }

    fn closing(self) -> Refusal {
        Refusal { close: true, ..self }
    }

    pub(crate) fn body_too_large(limit: u64) -> Refusal {
        Refusal::new(413, Some(Why::Body), format!("the request's body may have {limit} bytes here"))
            .closing()
    }

    pub(crate) fn no_route() -> Refusal {
        Refusal::new(404, Some(Why::NoRoute), "no route of this node answers for this host and path")
    }

    pub(crate) fn other_methods(allowed: &[std::sync::Arc<str>]) -> Refusal {
        let allow = allowed.join(", ");
        let detail = format!("this path is served for {allow} only");
        Refusal { allow: Some(allow), ..Refusal::new(405, Some(Why::Method), detail) }
    }

    pub(crate) fn header_timeout() -> Refusal {
        Refusal::new(408, Some(Why::Timeout), "the request's head didn't come in time").closing()
    }
}

impl From<BadHead> for Refusal {
    fn from(bad: BadHead) -> Refusal {
        let why = match bad.status() {
            431 => Why::Head,
            400 => Why::Malformed,
            _ => Why::Unsupported,
        };
        Refusal::new(bad.status(), Some(why), bad.to_string()).closing()
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Refusal {
        let refusal = match error {
            BodyError::TooLarge => Refusal::new(413, Some(Why::Body), error.to_string()),
            BodyError::Timeout => Refusal::new(408, Some(Why::Timeout), error.to_string()),
            BodyError::Chunk(_) => Refusal::new(400, Some(Why::Malformed), error.to_string()),
            BodyError::Broken(_) | BodyError::Closed => {
                Refusal { mute: true, ..Refusal::new(499, None, error.to_string()) }
            }
        };
        refusal.closing()
    }
}

impl From<Failed> for Refusal {
    fn from(failed: Failed) -> Refusal {
        match failed {
            Failed::Client(error) => error.into(),
            // What exactly an endpoint said or where it is concerns operators, who see it in the log.
            Failed::Timeout => Refusal::new(504, None, "the service didn't answer in time"),
            Failed::Connect(_) | Failed::ConnectTimeout => {
                Refusal::new(502, None, "the service can't be reached")
            }
            Failed::Broken(_) | Failed::Closed => {
                Refusal::new(502, None, "the service broke off before its answer was whole")
            }
            Failed::BadHead(_) | Failed::BadChunk(_) | Failed::Interim => {
                Refusal::new(502, None, "the service's answer can't be understood")
            }
        }
    }
}

impl From<Overloaded> for Refusal {
    fn from(overloaded: Overloaded) -> Refusal {
        let refusal = Refusal::new(503, Some(Why::Overload), "the service has all the requests it can take");
        Refusal { retry_after: Some(overloaded.retry_after), ..refusal }
    }
}

impl From<NoEndpoint> for Refusal {
    fn from(_: NoEndpoint) -> Refusal {
        let refusal = Refusal::new(503, Some(Why::NoEndpoint), "the service has no endpoint now");
        Refusal { retry_after: Some(Duration::from_secs(1)), ..refusal }
    }
}

impl From<guard::Refused> for Refusal {
    fn from(refused: guard::Refused) -> Refusal {
        let (status, why) = match refused {
            guard::Refused::Connections => (503, Why::Connections),
            guard::Refused::PerClient => (429, Why::PerClient),
        };
        let refusal = Refusal::new(status, Some(why), refused.to_string()).closing();
        Refusal { retry_after: Some(Duration::from_secs(1)), ..refusal }
    }
}

/// Does this client rather read a page than JSON?
pub(crate) fn wants_page(head: &RequestHead) -> bool {
    head.fields.get(Known::Accept).is_some_and(|v| memchr::memmem::find(v, b"text/html").is_some())
}

/// Makes `head` and `body` the answer that tells of a refusal (RFC 9457), or a plain page.
pub(crate) fn refusal(
    refusal: &Refusal,
    request_id: &str,
    page: bool,
    head: &mut ResponseHead,
    body: &mut Vec<u8>,
) {
    head.start(refusal.status);
    let title = write::reason(refusal.status);
    let (status, detail) = (refusal.status, &*refusal.detail);
    body.clear();
    if page {
        head.fields.push(b"content-type", b"text/html; charset=utf-8");
        let detail = escape_html(detail);
        let page = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{status} {title}</title>\
             <style>body{{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;color:#222}}\
             small{{color:#777}}</style><h1>{status} {title}</h1><p>{detail}.</p>\
             <p><small>Request {request_id}, answered by Nearside</small></p></html>\n"
        );
        body.extend_from_slice(page.as_bytes());
    } else {
        head.fields.push(b"content-type", b"application/problem+json");
        let problem = serde_json::json!({
            "type": "about:blank", "title": title, "status": status, "detail": detail, "request_id": request_id,
        });
        body.extend_from_slice(problem.to_string().as_bytes());
        body.push(b'\n');
    }
    head.fields.push(b"cache-control", b"no-store");
    if let Some(after) = refusal.retry_after {
        head.fields.push(b"retry-after", after.as_secs().max(1).to_string().as_bytes());
    }
    if let Some(allow) = &refusal.allow {
        head.fields.push(b"allow", allow.as_bytes());
    }
}

fn escape_html(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

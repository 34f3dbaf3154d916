//! One function for each path of the queues.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, JsonRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use config::near::nearest;
use serde::Deserialize as _;
use serde_json::{Map, Value, json};

use super::{
    DropAsk, LARGEST_PAGE, MessageAsk, MessageState, MessageView, NewMessage, PAGE, Page, QueueError,
    QueueView, Queues, ReplayAsk, short,
};
use crate::api::{BODY, Done, Node, Routes, json_body};
use crate::operations::Operations;
use crate::problem::Problem;

/// The fields of a request that become those of its message, where its body does. Others speak to the API,
/// and its token must not go to receivers.
const KEPT: [&str; 3] = ["content-type", "content-encoding", "content-language"];
/// What the names of further such fields begin with: those of CloudEvents, and those of one's own.
const KEPT_BEGIN: [&str; 2] = ["ce-", "x-"];
/// What doesn't, although it begins so: a proxy on the way to the API wrote it.
const NOT_KEPT_BEGIN: &str = "x-forwarded-";

/// What a query holds.
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// Each path with what answers it.
pub(crate) fn routes() -> Routes<8> {
    [
        ("/api/v1/queues", get(list)),
        ("/api/v1/queues/{queue}", get(one)),
        ("/api/v1/queues/{queue}/messages", get(messages).post(send)),
        ("/api/v1/queues/{queue}/messages/{id}", get(message)),
        ("/api/v1/queues/{queue}/pause", post(pause)),
        ("/api/v1/queues/{queue}/resume", post(resume)),
        ("/api/v1/queues/{queue}/replay", post(replay)),
        ("/api/v1/queues/{queue}/drop", post(drop_messages)),
    ]
}

/// A queue that is asked for by name.
struct Asked {
    queues: Arc<dyn Queues>,
    name: String,
}

impl Asked {
    fn of(node: &dyn Operations, name: String) -> Result<Self, Problem> {
        let none = || Problem::not_found("this node has no queues; write a table [queue.NAME] into its file");
        Ok(Self { queues: node.queues().ok_or_else(none)?, name })
    }

    fn view(&self) -> Done<QueueView> {
        self.queues.show(&self.name).map(Json).ok_or_else(|| self.problem(&QueueError::NoQueue))
    }

    /// The answer that tells why something isn't done to it.
    fn problem(&self, error: &QueueError) -> Problem {
        let status = match error {
            QueueError::NoQueue => return self.unknown(),
            QueueError::NoMessage(_) => StatusCode::NOT_FOUND,
            QueueError::Wrong(_) => StatusCode::BAD_REQUEST,
            QueueError::NotInPlan => StatusCode::CONFLICT,
            QueueError::OtherContent => StatusCode::UNPROCESSABLE_ENTITY,
            QueueError::Full => StatusCode::INSUFFICIENT_STORAGE,
            QueueError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            QueueError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Problem::new(status, error.to_string())
    }

    fn unknown(&self) -> Problem {
        let queues = self.queues.list();
        let near = nearest(&self.name, queues.iter().map(|queue| queue.name.as_str()));
        let instead = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => "see them at /api/v1/queues".to_owned(),
        };
        Problem::not_found(format!("this node has no queue `{}`; {instead}", short(&self.name)))
    }
}

async fn list(State(node): Node) -> Json<Vec<QueueView>> {
    Json(node.queues().map(|queues| queues.list()).unwrap_or_default())
}

async fn one(State(node): Node, Path(name): Path<String>) -> Done<QueueView> {
    Asked::of(&*node, name)?.view()
}

/// What `GET queues/Q/messages` may be asked.
struct Wanted {
    state: Option<MessageState>,
    after: Option<String>,
    limit: usize,
}

impl Wanted {
    fn read(pairs: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut wanted = Self { state: None, after: None, limit: PAGE };
        for (name, value) in pairs {
            match name.as_str() {
                "state" => wanted.state = Some(value.parse().map_err(Problem::bad_request)?),
                "after" => wanted.after = Some(value),
                "limit" => wanted.limit = limit(&value)?,
                other => {
                    let detail = format!("messages take state, after and limit, not `{}`", short(other));
                    return Err(Problem::bad_request(detail));
                }
            }
        }
        Ok(wanted)
    }
}

fn limit(text: &str) -> Result<usize, Problem> {
    let limit = text.parse().ok().filter(|limit| (1..=LARGEST_PAGE).contains(limit));
    limit.ok_or_else(|| Problem::bad_request(format!("`limit` is a number from 1 to {LARGEST_PAGE}")))
}

async fn messages(State(node): Node, Path(name): Path<String>, query: Pairs) -> Done<Page> {
    let asked = Asked::of(&*node, name)?;
    let wanted = Wanted::read(pairs(query)?)?;
    let page = asked.queues.messages(&asked.name, wanted.state, wanted.after, wanted.limit).await;
    page.map(Json).map_err(|error| asked.problem(&error))
}

async fn message(State(node): Node, Path((name, id)): Path<(String, String)>) -> Done<MessageView> {
    let asked = Asked::of(&*node, name)?;
    let message = asked.queues.message(&asked.name, &id).await;
    message.map(Json).map_err(|error| asked.problem(&error))
}

async fn pause(State(node): Node, Path(name): Path<String>) -> Done<QueueView> {
    let asked = Asked::of(&*node, name)?;
    asked.queues.pause(&asked.name).await.map_err(|error| asked.problem(&error))?;
    asked.view()
}

async fn resume(State(node): Node, Path(name): Path<String>) -> Done<QueueView> {
    let asked = Asked::of(&*node, name)?;
    asked.queues.resume(&asked.name).await.map_err(|error| asked.problem(&error))?;
    asked.view()
}

async fn replay(
    State(node): Node,
    Path(name): Path<String>,
    body: Result<Json<ReplayAsk>, JsonRejection>,
) -> Done<Value> {
    let asked = Asked::of(&*node, name)?;
    let order = json_body(body)?.check().map_err(|bad| Problem::bad_request(bad.to_string()))?;
    let replayed = asked.queues.replay(&asked.name, order).await;
    let replayed = replayed.map_err(|error| asked.problem(&error))?;
    Ok(Json(json!({ "replayed": replayed })))
}

async fn drop_messages(
    State(node): Node,
    Path(name): Path<String>,
    body: Result<Json<DropAsk>, JsonRejection>,
) -> Done<Value> {
    let asked = Asked::of(&*node, name)?;
    let order = json_body(body)?.check().map_err(|bad| Problem::bad_request(bad.to_string()))?;
    let dropped = asked.queues.drop_messages(&asked.name, order).await;
    let dropped = dropped.map_err(|error| asked.problem(&error))?;
    Ok(Json(json!({ "dropped": dropped })))
}

async fn send(
    State(node): Node,
    Path(name): Path<String>,
    query: Pairs,
    fields: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let asked = Asked::of(&*node, name)?;
    let body = body.map_err(|bad| match bad.status() {
        StatusCode::PAYLOAD_TOO_LARGE => too_large(),
        status => Problem::new(status, bad.body_text()),
    })?;
    let message = new_message(pairs(query)?, &fields, &body)?;
    let sent = asked.queues.send(&asked.name, message).await.map_err(|error| asked.problem(&error))?;
    let path = format!("/api/v1/queues/{}/messages/{}", sent.queue, sent.id);
    let mut response = (StatusCode::ACCEPTED, Json(sent)).into_response();
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(header::LOCATION, path);
    }
    Ok(response)
}

fn too_large() -> Problem {
    let detail =
        format!("the API takes messages of {BODY} bytes; send larger ones to a route with this queue");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
}

/// The message that JSON describes; of any other content, the message whose body it is.
fn new_message(
    query: Vec<(String, String)>,
    fields: &HeaderMap,
    body: &Bytes,
) -> Result<NewMessage, Problem> {
    let bad = |why: String| Problem::bad_request(why);
    if is_json(fields) {
        if let Some((name, _)) = query.first() {
            return Err(bad(format!("say `{}` in the JSON, not in the query", short(name))));
        }
        // A list would be taken for the values of an object.
        let ask = serde_json::from_slice::<Map<String, Value>>(body)
            .and_then(|object| MessageAsk::deserialize(Value::Object(object)))
            .map_err(|error| bad(error.to_string()))?;
        return ask.check().map_err(|error| bad(error.to_string()));
    }
    let mut message = NewMessage {
        method: "POST".to_owned(),
        path: "/".to_owned(),
        headers: kept(fields)?,
        body: body.to_vec(),
        delay: one_field(fields, "nearside-delay")?,
        at: one_field(fields, "nearside-at")?,
        idempotency_key: one_field(fields, "idempotency-key")?,
    };
    for (name, value) in query {
        match name.as_str() {
            "method" => message.method = value,
            "path" => message.path = value,
            other => return Err(bad(format!("a message takes method and path, not `{}`", short(other)))),
        }
    }
    message.checked().map_err(|error| bad(error.to_string()))
}

/// Is the body `application/json`, whatever its parameters?
fn is_json(fields: &HeaderMap) -> bool {
    let kind = fields.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn kept(fields: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let is_kept = |name: &str| {
        let begins = KEPT_BEGIN.iter().any(|begin| name.starts_with(begin));
        KEPT.contains(&name) || (begins && !name.starts_with(NOT_KEPT_BEGIN))
    };
    let kept = fields.iter().filter(|(name, _)| is_kept(name.as_str()));
    kept.map(|(name, value)| Ok((name.to_string(), text(name.as_str(), value)?))).collect()
}

/// The value of a field that may be there once.
fn one_field(fields: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let mut values = fields.get_all(name).iter();
    let value = values.next().map(|value| text(name, value)).transpose()?;
    match values.next() {
        Some(_) => Err(Problem::bad_request(format!("the header field {name} is there twice"))),
        None => Ok(value),
    }
}

fn text(name: &str, value: &HeaderValue) -> Result<String, Problem> {
    let text = String::from_utf8(value.as_bytes().to_vec());
    text.map_err(|_| Problem::bad_request(format!("the header field {name} is not UTF-8")))
}

fn pairs(query: Pairs) -> Result<Vec<(String, String)>, Problem> {
    let Query(pairs) = query.map_err(|bad| Problem::bad_request(bad.body_text()))?;
    Ok(pairs)
}

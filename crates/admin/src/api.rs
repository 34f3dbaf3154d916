//! One function for each path of the API.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Json, Router};
use edge::Phase;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use upstream::{Service, clock};

use crate::cache::{CacheStatus, PurgeOrder};
use crate::explain::{self, Explanation, Question};
use crate::guard::Guard;
use crate::operations::{Operations, ReloadError};
use crate::problem::Problem;
use crate::status::{NodeStatus, RouteReport, ServiceReport};
use crate::{exposition, metrics, queue, show, status};

/// Bytes of a request's body; over it: 413.
pub const BODY: usize = 1 << 20;
/// Time for a whole request, its body and its answer's making included; over it: 503.
const TIME: Duration = Duration::from_secs(30);
/// What `/api/v1/openapi.json` answers with.
const OPENAPI: &str = include_str!("openapi.json");

pub(crate) type Node = State<Arc<dyn Operations>>;
pub(crate) type Done<T> = Result<Json<T>, Problem>;
pub(crate) type Routes<const N: usize> = [(&'static str, MethodRouter<Arc<dyn Operations>>); N];

/// Each path with what answers it.
fn routes() -> impl Iterator<Item = (&'static str, MethodRouter<Arc<dyn Operations>>)> {
    own_routes().into_iter().chain(queue::api::routes())
}

fn own_routes() -> Routes<15> {
    [
        ("/livez", get(livez)),
        ("/readyz", get(readyz)),
        ("/metrics", get(metrics)),
        ("/api/v1/status", get(node)),
        ("/api/v1/config", get(config)),
        ("/api/v1/services", get(services)),
        ("/api/v1/services/{service}", get(service)),
        ("/api/v1/services/{service}/endpoints/drain", post(drain_endpoint)),
        ("/api/v1/routes", get(list_routes)),
        ("/api/v1/cache", get(cache)),
        ("/api/v1/purge", post(purge)),
        ("/api/v1/reload", post(reload)),
        ("/api/v1/drain", post(drain)),
        ("/api/v1/explain", get(explain)),
        ("/api/v1/openapi.json", get(openapi)),
    ]
}

/// The whole API behind its guard.
pub(crate) fn router(operations: Arc<dyn Operations>, guard: Guard) -> Router {
    let add = |router: Router<_>, (path, method)| router.route(path, method);
    let router = routes().fold(Router::new(), add);
    router
        .fallback(async || Problem::not_found("the API has no such path; see /api/v1/openapi.json"))
        .method_not_allowed_fallback(async || {
            let detail = "this path is served for another method only";
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail)
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(in_time))
        .layer(middleware::from_fn_with_state(guard, guarded))
        .with_state(operations)
}

async fn guarded(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    match guard.admit(request.method(), request.uri().path(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

async fn in_time(request: Request, next: Next) -> Response {
    let late = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "it took longer than 30 s");
    let answer = timeout(TIME, next.run(request)).await;
    answer.unwrap_or_else(|_| late().into_response())
}

async fn livez() -> &'static str {
    "ok"
}

async fn readyz(State(node): Node) -> (StatusCode, &'static str) {
    match node.shared().phase() {
        Phase::Running => (StatusCode::OK, "ready"),
        Phase::Leaving => (StatusCode::SERVICE_UNAVAILABLE, "the node is leaving"),
        Phase::Closing => (StatusCode::SERVICE_UNAVAILABLE, "the node has closed its listeners"),
    }
}

async fn metrics(State(node): Node) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], metrics::page(&*node))
}

async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

async fn node(State(node): Node) -> Json<NodeStatus> {
    Json(status::of_node(&*node))
}

async fn config(State(node): Node) -> Json<Value> {
    Json(show::plan(&node.live().plan))
}

async fn services(State(node): Node) -> Json<Vec<ServiceReport>> {
    Json(status::of_services(&*node))
}

async fn service(State(node): Node, Path(name): Path<String>) -> Done<ServiceReport> {
    let service = find(&*node, &name)?;
    Ok(Json(status::of_service(&*node, &service)))
}

async fn list_routes(State(node): Node) -> Json<Vec<RouteReport>> {
    Json(status::of_routes(&*node))
}

/// What `POST services/S/endpoints/drain` takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct DrainEndpoint {
    /// Its URL.
    endpoint: String,
    /// Out, or back in.
    drain: bool,
}

async fn drain_endpoint(
    State(node): Node,
    Path(name): Path<String>,
    body: Result<Json<DrainEndpoint>, JsonRejection>,
) -> Done<ServiceReport> {
    let Json(wanted) = body.map_err(|bad| Problem::new(bad.status(), bad.body_text()))?;
    let service = find(&*node, &name)?;
    if !service.drain(&wanted.endpoint, wanted.drain) {
        let detail = format!("the service {name} has no endpoint {}", wanted.endpoint);
        return Err(Problem::not_found(detail));
    }
    Ok(Json(status::of_service(&*node, &service)))
}

fn find(node: &dyn Operations, name: &str) -> Result<Arc<Service>, Problem> {
    let none = || Problem::not_found(format!("this node has no service {name}"));
    node.registry().get(name).ok_or_else(none)
}

async fn cache(State(node): Node) -> Json<CacheStatus> {
    Json(node.cache().into())
}

async fn purge(State(node): Node, body: Result<Json<PurgeOrder>, JsonRejection>) -> Done<Value> {
    let order = json_body(body)?;
    order.check().map_err(|bad| Problem::bad_request(bad.to_string()))?;
    let purged = node.purge(order).await;
    let nodes = purged.map_err(|why| Problem::new(StatusCode::SERVICE_UNAVAILABLE, why))?;
    Ok(Json(json!({ "nodes": nodes })))
}

/// A body in JSON that is as it must be.
pub(crate) fn json_body<T>(body: Result<Json<T>, JsonRejection>) -> Result<T, Problem> {
    let Json(body) = body.map_err(|bad| match bad {
        JsonRejection::JsonDataError(_) => Problem::bad_request(bad.body_text()),
        _ => Problem::new(bad.status(), bad.body_text()),
    })?;
    Ok(body)
}

async fn reload(State(node): Node) -> Done<Value> {
    let result = spawn_blocking(move || node.reload()).await;
    let internal = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the reload broke off");
    match result.map_err(internal)? {
        Ok(reloaded) => Ok(Json(json!({
            "changed": reloaded.changed,
            "warnings": reloaded.warnings,
        }))),
        Err(error) => Err(not_reloaded(error)),
    }
}

fn not_reloaded(error: ReloadError) -> Problem {
    match error {
        ReloadError::Config(report) => {
            let detail = "the file holds mistakes; the plan before runs on";
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
                .with("diagnostics", json!({ "listed": report.diagnostics, "omitted": report.omitted }))
        }
        ReloadError::Bind(_) | ReloadError::NoFile => Problem::new(StatusCode::CONFLICT, error.to_string()),
    }
}

async fn drain(State(node): Node) -> (StatusCode, Json<Value>) {
    node.drain();
    (StatusCode::ACCEPTED, Json(json!({ "draining": true })))
}

async fn explain(
    State(node): Node,
    query: Result<Query<Vec<(String, String)>>, QueryRejection>,
) -> Done<Explanation> {
    let Query(pairs) = query.map_err(|bad| Problem::bad_request(bad.body_text()))?;
    let question = question(pairs)?;
    let explain = move || {
        let live = node.live();
        explain::explain(&question, &live.plan, &live.router, Some(&*node), clock::now())
    };
    let internal = |_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the explanation broke off");
    // The tiers of the cache are searched, of which some are slow.
    let explained = spawn_blocking(explain).await.map_err(internal)?;
    explained.map(Json).map_err(|unclear| Problem::bad_request(unclear.to_string()))
}

fn question(pairs: Vec<(String, String)>) -> Result<Question, Problem> {
    let mut question =
        Question { url: String::new(), method: "GET".to_owned(), from: None, headers: Vec::new() };
    for (name, value) in pairs {
        match name.as_str() {
            "url" => question.url = value,
            "method" => question.method = value,
            "header" => question.headers.push(value),
            "from" => {
                let bad = |_| Problem::bad_request(format!("`from` is not an IP address: {value}"));
                question.from = Some(value.parse().map_err(bad)?);
            }
            other => {
                let detail = format!("explain takes url, method, from and header, not `{other}`");
                return Err(Problem::bad_request(detail));
            }
        }
    }
    if question.url.is_empty() {
        return Err(Problem::bad_request("explain wants `url`: what would be asked"));
    }
    Ok(question)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_openapi_document_names_each_path_and_no_other() {
        let document: Value = serde_json::from_str(OPENAPI).unwrap();
        let documented: Vec<_> = document["paths"].as_object().unwrap().keys().collect();
        let mut served: Vec<_> = routes().map(|(path, _)| path).collect();
        served.sort_unstable();
        assert_eq!(documented, served);
    }
}

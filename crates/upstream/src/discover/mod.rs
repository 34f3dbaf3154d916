//! Endpoints found as the node runs. Whatever fails, the last good answer is kept: an empty answer
//! from a name server in trouble must not take a service away.

mod dns;
mod file;

use std::sync::Arc;

use config::plan::Discover;

use crate::registry::Shared;
use crate::service::Service;

/// Follows what the service's plan names, for as long as it is not stopped.
pub(crate) async fn follow(service: Arc<Service>, shared: Arc<Shared>) {
    match &service.plan().discover {
        Some(Discover::Dns { host, port, every }) => {
            dns::follow_addresses(&service, &shared, host, *port, *every).await;
        }
        Some(Discover::Srv { name, every }) => {
            dns::follow_services(&service, &shared, name, *every).await;
        }
        Some(Discover::File { path }) => file::follow(&service, path).await,
        None => {}
    }
}

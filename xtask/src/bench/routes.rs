//! What 10,000 routes and 1,000 services cost beside one of each: a request should not notice.

use super::load::{Sample, check_answer, load};
use super::peer::{Peer, nearside};
use super::{Ground, report};
use crate::failure::Outcome;

const HOSTS: usize = 100;
const PATHS: usize = 100;
const SERVICES: usize = 1000;
/// The host and the path that are asked for, in the middle of the file.
const MIDDLE: usize = 50;
const LENGTH: usize = 1 << 10;

/// Measures nearside with the one route and with all of them, and writes the section.
pub fn measure(ground: &Ground) -> Outcome<String> {
    let (mut one, mut many) = (Vec::new(), Vec::new());
    for round in 0..ground.options.rounds {
        // Every other round begins with the other one.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                one.push(sample(ground, one_route)?);
            } else {
                many.push(sample(ground, all_routes)?);
            }
        }
    }
    Ok(section(Sample::median_of(&one), Sample::median_of(&many)))
}

fn sample(ground: &Ground, routes: fn(u16) -> String) -> Outcome<Sample> {
    let ports = ground.ports()?;
    let config = nearside(ports) + &routes(ground.origin.port());
    let running = ground.start_with(Peer::Nearside, ports, &config)?;
    let (host, path) = (host(MIDDLE), format!("/p{MIDDLE}/1k"));
    check_answer(running.port(), &host, &path, LENGTH)?;
    let sample = load(ground, &running, &host, &path)?;
    println!("    {:.2} µs", sample.cpu);
    Ok(sample)
}

fn host(number: usize) -> String {
    format!("h{number}.example.com")
}

fn route(host_number: usize, path: usize, service: &str) -> String {
    let host = host(host_number);
    format!("[[route]]\nhost = \"{host}\"\npath = \"/p{path}/*\"\nservice = \"{service}\"\n\n")
}

/// The very route that is asked for, alone.
fn one_route(_: u16) -> String {
    route(MIDDLE, MIDDLE, "origin")
}

/// A route for each path of each host, and the services that they share.
fn all_routes(origin: u16) -> String {
    let service = |number| format!("[service.s{number}]\nendpoints = [\"http://127.0.0.1:{origin}\"]\n\n");
    let services = (0..SERVICES).map(service);
    let pairs = (0..HOSTS).flat_map(|host| (0..PATHS).map(move |path| (host, path)));
    let routes =
        pairs.map(|(host, path)| route(host, path, &format!("s{}", (host * PATHS + path) % SERVICES)));
    services.chain(routes).collect()
}

fn section(one: Sample, many: Sample) -> String {
    let mut text = String::from(
        "Nearside alone, 1 KiB; the route that matches is in the middle of the file.\n\n\
         | routes | CPU µs a request | to one route | requests/s | p50 | p99 |\n|---|--:|--:|--:|--:|--:|\n",
    );
    let many_name = format!("{} to {SERVICES} services", HOSTS * PATHS);
    for (name, sample) in [("1", one), (many_name.as_str(), many)] {
        text += &report::line(name, &sample, &[one.cpu]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_routes_contain_the_one_and_use_every_service() {
        let text = all_routes(8000);
        assert_eq!(text.matches("[[route]]").count(), HOSTS * PATHS);
        assert_eq!(text.matches("[service.").count(), SERVICES);
        let (head, _) = text.split_once("service = \"s50\"").unwrap();
        assert!(head.contains("[service.s50]"));
        assert!(text.contains("host = \"h50.example.com\"\npath = \"/p50/*\""));
    }
}

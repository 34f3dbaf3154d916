//! From a target to a connection: its addresses, the judgement on them, TCP, TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::ServerName;

use super::exchange::Conn;
use super::is_public;
use super::{OutsideError, Target, Trust};
use crate::resolve::Names;

/// Addresses of a name that are tried.
const ADDRESSES: usize = 8;

/// A new connection, within `limit`.
///
/// # Errors
/// [`OutsideError`]; nothing was sent.
pub(super) async fn open(
    names: &Names,
    trust: &Trust,
    target: &Target,
    allow_private: bool,
    limit: Duration,
) -> Result<Conn, OutsideError> {
    let opening = async {
        let found = match &target.host {
            ServerName::IpAddress(ip) => vec![IpAddr::from(*ip)],
            ServerName::DnsName(name) => {
                let found = names.addresses(name.as_ref(), &[]).await;
                found.map_err(|why| OutsideError::Name(why.to_string()))?.records
            }
            _ => return Err(OutsideError::BadUrl("its host isn't a name or an address")),
        };
        let (tcp, ip) = reach(&usable(found, allow_private)?, target.port, limit).await?;
        let heard = Arc::new(AtomicBool::new(false));
        let io: Box<dyn Io> = if target.tls {
            let shaken = trust.connector.connect(target.host.clone(), tcp).await;
            Box::new(shaken.map_err(|why| OutsideError::of_handshake(&why))?)
        } else {
            Box::new(tcp)
        };
        Conn::over(Stream { io, heard: heard.clone() }, heard, !is_public(ip)).await
    };
    timeout(limit, opening).await.unwrap_or(Err(OutsideError::ConnectTimeout))
}

/// Those of a name's addresses that may be connected to.
///
/// # Errors
/// [`OutsideError::Private`] with one of them, if none may.
fn usable(mut found: Vec<IpAddr>, allow_private: bool) -> Result<Vec<IpAddr>, OutsideError> {
    let Some(&first) = found.first() else {
        return Err(OutsideError::Name("the name has no addresses".into()));
    };
    found.retain(|&ip| allow_private || is_public(ip));
    found.truncate(ADDRESSES);
    if found.is_empty() { Err(OutsideError::Private(first)) } else { Ok(found) }
}

/// Connects to the first address that takes it. Each may use an equal share of the time, so that one
/// which swallows everything doesn't keep the others from being tried.
async fn reach(ips: &[IpAddr], port: u16, limit: Duration) -> Result<(TcpStream, IpAddr), OutsideError> {
    let share = limit / u32::try_from(ips.len()).unwrap_or(u32::MAX).max(1);
    let mut failed = OutsideError::ConnectTimeout;
    for &ip in ips {
        let address = SocketAddr::new(ip, port);
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true).map_err(|why| OutsideError::Connect { address, why })?;
                return Ok((tcp, ip));
            }
            Ok(Err(why)) => failed = OutsideError::Connect { address, why },
            Err(_) => {}
        }
    }
    Err(failed)
}

/// TCP, with or without TLS.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// A connection's bytes, with a note of whether any came.
pub(super) struct Stream {
    io: Box<dyn Io>,
    heard: Arc<AtomicBool>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            self.heard.store(true, Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn only_public_addresses_are_used() {
        let mixed = ips(&["10.0.0.1", "8.8.8.8", "::1", "2606:4700::1"]);
        assert_eq!(usable(mixed.clone(), false).unwrap(), ips(&["8.8.8.8", "2606:4700::1"]));
        assert_eq!(usable(mixed.clone(), true).unwrap(), mixed);
        let private = usable(ips(&["::ffff:10.0.0.1", "127.0.0.1"]), false);
        assert_eq!(
            private.unwrap_err().to_string(),
            "the URL leads to ::ffff:10.0.0.1, which is no public address (allow_private_addresses = true would let it)"
        );
        assert!(matches!(usable(Vec::new(), true), Err(OutsideError::Name(_))));
        assert_eq!(usable(vec![mixed[1]; 99], false).unwrap().len(), ADDRESSES);
    }
}

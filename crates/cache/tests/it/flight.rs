//! Tests of `flight`: who boards, what they read, and who waits for whom.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cache::flight::{End, First, Flight, Flights, Got, Seat, WINDOW};

use super::buffer::Buffers;

fn whole() -> End {
    End::Whole(Arc::default())
}

async fn read(seat: &mut Seat<u32>) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        match seat.piece().await {
            Got::Piece(piece) => all.extend_from_slice(&piece),
            Got::End(End::Whole(_)) => return Some(all),
            Got::End(End::Broken) | Got::Gone => return None,
        }
    }
}

/// What isn't over within a minute of virtual time never will be.
async fn hangs(work: impl Future<Output = impl Sized>) -> bool {
    tokio::time::timeout(Duration::from_secs(60), work).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn the_first_is_the_pilot_and_all_read_the_same_bytes() {
    let flights = Flights::<u32>::new();
    let mut pilot = flights.board(b"http://h/", b"");
    assert!(pilot.pilot);
    let mut late = flights.board(b"http://h/", b"");
    assert!(!late.pilot);
    assert!(flights.board(b"http://h/", b"gzip").pilot, "another variant is another flight");
    assert!(flights.board(b"http://h/x", b"").pilot);
    let flight = pilot.seat.flight().clone();
    flight.interim(Bytes::from_static(b"103"));
    flight.land(7, true);
    flight.land(8, true);
    assert!(flight.push(Bytes::from_static(b"one ")).await);
    let mut later = flights.board(b"http://h/", b"");
    assert!(flight.push(Bytes::from_static(b"two")).await);
    flights.close(b"http://h/", &flight);
    flight.end(whole());
    flight.end(End::Broken);
    for seat in [&mut pilot.seat, &mut late.seat, &mut later.seat] {
        assert!(matches!(seat.first().await, First::Interim(head) if head == "103"));
        assert!(matches!(seat.first().await, First::Landed(7)), "how it went is said once");
        assert_eq!(read(seat).await.unwrap(), b"one two");
    }
    assert_eq!(flight.pieces().unwrap().concat(), b"one two");
    assert!(flights.board(b"http://h/", b"").pilot, "a closed flight is not boarded");
}

#[tokio::test(start_paused = true)]
async fn a_fetch_that_keeps_nothing_waits_for_its_slowest_passenger() {
    let flight = Flight::<u32>::solo();
    let (mut quick, slow) = (flight.seat(), flight.seat());
    flight.land(1, false);
    let piece = Bytes::from(vec![b'x'; WINDOW as usize]);
    assert!(flight.push(piece.clone()).await, "a window's worth is let through");
    assert!(matches!(quick.piece().await, Got::Piece(got) if got.len() == piece.len()));
    assert!(hangs(flight.push(piece.clone())).await, "the slow one has read nothing");
    drop(slow);
    assert!(matches!(quick.piece().await, Got::Piece(_)));
    assert!(!hangs(flight.push(Bytes::from_static(b"y"))).await, "nobody is behind any more");
    drop(quick);
    assert!(!flight.push(piece).await, "nobody reads: the fetch may end");
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_waits_for_nobody() {
    let flight = Flight::<u32>::solo();
    let mut slow = flight.seat();
    flight.land(1, true);
    for _ in 0..4 {
        assert!(!hangs(flight.push(Bytes::from(vec![b'x'; WINDOW as usize]))).await);
    }
    flight.end(whole());
    assert_eq!(read(&mut slow).await.unwrap().len() as u64, 4 * WINDOW);
}

#[tokio::test(start_paused = true)]
async fn who_falls_behind_what_is_held_is_told() {
    let flight = Flight::<u32>::solo();
    let mut slow = flight.seat();
    flight.land(1, true);
    for byte in *b"abcd" {
        flight.push(Bytes::from(vec![byte; 10_000])).await;
    }
    flight.forget_before(25_000);
    assert!(matches!(slow.piece().await, Got::Gone));
    assert!(flight.pieces().is_none(), "not all of it is there");
    slow.go_to(25_000);
    assert_eq!(slow.at(), 25_000);
    assert!(matches!(slow.piece().await, Got::Piece(got) if got == vec![b'c'; 5000]));
    assert!(matches!(slow.piece().await, Got::Piece(got) if got == vec![b'd'; 10_000]));
    flight.end(End::Broken);
    assert!(matches!(slow.piece().await, Got::End(End::Broken)));
}

#[tokio::test(start_paused = true)]
async fn a_doomed_flight_is_not_boarded_and_knows_it() {
    let flights = Flights::<u32>::new();
    let plain = flights.board(b"http://h/", b"");
    let gzip = flights.board(b"http://h/", b"gzip");
    let other = flights.board(b"http://h/other", b"");
    flights.doom(b"http://h/");
    assert!(plain.seat.flight().is_doomed() && gzip.seat.flight().is_doomed());
    assert!(!other.seat.flight().is_doomed());
    let anew = flights.board(b"http://h/", b"");
    assert!(anew.pilot && !anew.seat.flight().is_doomed());
    flights.close(b"http://h/", plain.seat.flight());
    assert!(!flights.board(b"http://h/", b"").pilot, "closing the old one leaves the new one open");
}

#[tokio::test(start_paused = true)]
async fn small_pieces_hold_their_bytes_and_not_the_buffers_they_came_in() {
    let flight = Flight::<u32>::solo();
    let mut slow = flight.seat();
    flight.land(1, true);
    let buffers = Buffers::default();
    let mut sent = 0;
    for len in (0..3000).map(|n| 1 + n % 200).chain([40_000, 65_535, 1]) {
        assert!(flight.push(buffers.piece(len)).await);
        sent += len;
    }
    assert_eq!(buffers.held(), 0, "no buffer is held");
    assert!(flight.pieces().unwrap().len() < 100, "what came in many pieces is held in few");
    flight.push(buffers.piece(65_536)).await;
    assert_eq!(buffers.held(), 1, "a large piece is not copied");
    flight.end(whole());
    assert_eq!(read(&mut slow).await.unwrap().len(), sent + 65_536);
}

#[tokio::test(start_paused = true)]
async fn who_reads_along_gets_each_small_piece_as_it_comes() {
    let flight = Flight::<u32>::solo();
    let (mut quick, mut slow) = (flight.seat(), flight.seat());
    flight.land(1, true);
    let mut sent = Vec::new();
    for n in 0..500_u32 {
        let piece = Bytes::from(n.to_be_bytes().to_vec());
        flight.push(piece.clone()).await;
        assert!(matches!(quick.piece().await, Got::Piece(got) if got == piece));
        sent.extend_from_slice(&piece);
        if n % 100 == 70 {
            let at = slow.at() as usize;
            assert!(matches!(slow.piece().await, Got::Piece(got) if got == sent[at..at + got.len()]));
        }
    }
    flight.end(whole());
    let at = slow.at() as usize;
    assert_eq!(read(&mut slow).await.unwrap(), sent[at..]);
    assert_eq!(read(&mut quick).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_reader_ahead_of_what_was_passed_on_waits() {
    let flight = Flight::<u32>::solo();
    let mut ahead = flight.seat();
    flight.land(1, true);
    flight.push(Bytes::from_static(b"0123")).await;
    ahead.go_to(6); // it has read from disk
    assert!(hangs(ahead.piece()).await);
    flight.push(Bytes::from_static(b"4567")).await;
    assert!(matches!(ahead.piece().await, Got::Piece(got) if got == "67"));
}

#[tokio::test(start_paused = true)]
async fn a_flight_without_passengers_is_deserted() {
    let flight = Flight::<u32>::solo();
    let (one, other) = (flight.seat(), flight.seat());
    assert!(hangs(flight.deserted()).await);
    drop(one);
    assert!(hangs(flight.deserted()).await);
    drop(other);
    assert!(!hangs(flight.deserted()).await);
}

#[tokio::test]
async fn passengers_on_other_threads_lose_nothing() {
    let flight = Flight::<u32>::solo();
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let mut seat = flight.seat();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    assert!(matches!(seat.first().await, First::Landed(1)));
                    read(&mut seat).await.unwrap()
                })
            })
        })
        .collect();
    flight.land(1, false);
    let mut sent = Vec::new();
    for n in 0..2000_u32 {
        let piece = n.to_le_bytes().repeat(1000);
        sent.extend_from_slice(&piece);
        assert!(flight.push(Bytes::from(piece)).await);
    }
    flight.end(whole());
    for reader in readers {
        assert!(reader.join().unwrap() == sent);
    }
}

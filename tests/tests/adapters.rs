//! Every adapter with every adapter, over loopback and our servers: one list of scenarios for all of them.
#![cfg(test)]

use wormhole_tests::{Adapter, Make, Pair};

/// A module for each pair, and in it a test for each scenario.
macro_rules! pairs {
    ($($name:ident: $left:ident, $right:ident;)*) => {$(
        mod $name {
            use super::*;

            const PAIR: Pair = Pair { left: Adapter::$left, right: Adapter::$right, make: Make::Ours };

            scenarios! {
                a_conversation_from_code_to_close, a_code_that_is_typed, a_wrong_code, a_lonely_close,
                a_third_who_has_the_code, no_server, a_server_that_is_lost_and_comes_back, two_wormholes_at_once,
                calls_that_are_dropped_and_made_again, a_writer_that_is_idle, ten_thousand_records_each_way,
                records_poured_in_by_both_at_once, a_record_of_a_mebibyte, a_wait_with_a_limit, an_introduction, a_file,
                content_beside_the_disk
            }
        }
    )*};
}

macro_rules! scenarios {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            wormhole_tests::scenarios::$name(PAIR);
        }
    )*};
}

pairs! {
    tokio_and_tokio: Tokio, Tokio;
    tokio_and_async_std: Tokio, AsyncStd;
    tokio_and_smol: Tokio, Smol;
    tokio_and_blocking: Tokio, Blocking;
    async_std_and_tokio: AsyncStd, Tokio;
    async_std_and_async_std: AsyncStd, AsyncStd;
    async_std_and_smol: AsyncStd, Smol;
    async_std_and_blocking: AsyncStd, Blocking;
    smol_and_tokio: Smol, Tokio;
    smol_and_async_std: Smol, AsyncStd;
    smol_and_smol: Smol, Smol;
    smol_and_blocking: Smol, Blocking;
    blocking_and_tokio: Blocking, Tokio;
    blocking_and_async_std: Blocking, AsyncStd;
    blocking_and_smol: Blocking, Smol;
    blocking_and_blocking: Blocking, Blocking;
}

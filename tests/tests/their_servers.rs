//! What every adapter must be able to do at the reference's servers, each of them once on either side.
#![cfg(test)]

use wormhole_tests::{Adapter, Make, Pair, Servers, scenarios};

/// A module for each pair, and in it a test for each scenario.
macro_rules! pairs {
    ($($name:ident: $left:ident, $right:ident;)*) => {$(
        mod $name {
            use super::*;

            const PAIR: Pair = Pair { left: Adapter::$left, right: Adapter::$right, make: Make::Reference };

            tests! {
                an_introduction, a_conversation_from_code_to_close, a_code_that_is_typed, a_wrong_code,
                a_lonely_close, a_third_who_has_the_code, a_server_that_is_lost_and_comes_back,
                two_wormholes_at_once, calls_that_are_dropped_and_made_again, a_record_of_a_mebibyte,
                a_file_by_the_relay, a_file_without_a_relay
            }
        }
    )*};
}

macro_rules! tests {
    ($($name:ident),*) => {$(
        #[test]
        fn $name() {
            if Servers::reference().is_some() {
                scenarios::$name(PAIR);
            }
        }
    )*};
}

pairs! {
    tokio_and_async_std: Tokio, AsyncStd;
    async_std_and_smol: AsyncStd, Smol;
    smol_and_blocking: Smol, Blocking;
    blocking_and_tokio: Blocking, Tokio;
}

//! What the sending and the receiving side share: their configuration, and how they leave.

use std::future::Future;

use wormhole_core::code::Code;
use wormhole_core::defaults::PROGRAM;
use wormhole_core::error::{CodeFault, Misuse};
use wormhole_tokio::transfer::{Config, Error, Event};

use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupts::Interrupts;

/// The command line as the transfer takes it, in this namespace.
pub(crate) async fn config(common: &Common, appid: &str, verify: bool) -> Result<Config, Failure> {
    let config = Config::new(appid)
        .mailbox(common.mailbox())
        .client_version(PROGRAM, env!("CARGO_PKG_VERSION"))
        .verify(verify);
    let config = common.network.apply(config).await?;
    config.session().map_err(|fault| Failure::Usage(fault.to_string()))?;
    Ok(config)
}

/// A code as a person typed or pasted it. One without words keeps no secret, so it is refused here.
pub(crate) fn code(typed: &str) -> Result<Code, Failure> {
    let code = Code::parse(typed.trim())?;
    if !code.has_words() {
        return Err(CodeFault::NoWords.into());
    }
    // Other programs would take it, as a code that nobody has.
    if code.as_str().contains("--") {
        return Err(Failure::Usage(
            "a code has one dash between its words, and this one has two in a row".to_owned(),
        ));
    }
    Ok(code)
}

pub(crate) fn no_thread() -> Failure {
    Failure::Here("no thread can be started".to_owned())
}

/// A command that came too late is no failure: the end is on its way as an event, and says why.
pub(crate) fn unless_over(commanded: Result<(), Misuse>) -> Result<(), Failure> {
    match commanded {
        Err(Misuse::Closed) => Ok(()),
        commanded => commanded.map_err(Failure::from),
    }
}

/// Waits for the end of a conversation that was cancelled. It takes no longer than a user waits, but for what there is to
/// remove.
pub(crate) async fn goodbye(mut next: impl AsyncFnMut() -> Event) -> Result<(), Error> {
    loop {
        if let Event::Closed(outcome) = next().await {
            return outcome;
        }
    }
}

/// What the future comes to, unless the user wants to leave first.
pub(crate) async fn or_interrupted<T>(
    interrupts: &mut Interrupts,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    tokio::select! {
        biased;
        () = interrupts.next() => Err(Failure::Interrupted),
        result = work => Ok(result),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_around_a_code_are_passed_over() {
        assert_eq!(code(" 7-crossover-clockwork\r\n").unwrap().as_str(), "7-crossover-clockwork");
    }

    #[test]
    fn a_code_without_words_is_refused() {
        assert_eq!(code("4-"), Err(CodeFault::NoWords.into()));
        assert_eq!(code("4"), Err(CodeFault::NoDash.into()));
        assert!(matches!(code("4--crossover"), Err(Failure::Usage(_))));
    }
}

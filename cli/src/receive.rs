//! `wormhole receive`: what the command line says of the code and the place.

use wormhole_core::uri::Role;
use wormhole_tokio::transfer::Receiver;

use crate::arguments::{Common, Receive};
use crate::consent::Wishes;
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::link::Invitation;
use crate::prompt;
use crate::receiving::{Receiving, Shows};
use crate::screen::Screen;
use crate::sides::{self, or_interrupted};
use crate::view::View;

/// `wormhole receive`.
pub(crate) async fn run(
    common: &Common,
    options: &Receive,
    interrupts: &mut Interrupts,
) -> Result<(), Failure> {
    let asked = options.clone();
    let wishes = prompt::on_a_thread(move || Wishes::of(&asked));
    let wishes = or_interrupted(interrupts, wishes).await?.unwrap_or_else(|_| Err(sides::no_thread()))?;
    let secret = options.secret.with(&common.secret);
    let is_given = options.code.is_some() || options.code_file.is_some() || options.allocate;
    let invitation = match secret.zero_code(&common.secret, is_given)? {
        Some(code) => Some(Invitation { code, server: None }),
        None if options.allocate => None,
        None => {
            secret.makes_none()?;
            let (code, file) = (options.code.as_deref(), options.code_file.as_deref());
            or_interrupted(interrupts, Invitation::given(code, file, Role::Follower)).await??
        }
    };
    let common = &match &invitation {
        Some(invitation) => {
            let mailbox = invitation.mailbox(common.mailbox(), options.accept_file);
            common.at(or_interrupted(interrupts, mailbox).await??)
        }
        None => common.clone(),
    };
    let config = sides::config(common, common.appid(), secret.verify);
    let receiver = Receiver::new(or_interrupted(interrupts, config).await??)?;
    let view = View::new(Screen::new(common.hide_progress), common.mailbox()).of(common, "recv");
    let shows = Shows { verifier: secret.verify, code: options.allocate, only_text: options.only_text };
    let mut receiving = Receiving::new(receiver, view, wishes, shows);
    match invitation {
        Some(invitation) => receiving.set_code(invitation.code)?,
        None if options.allocate => receiving.allocate_code(secret.words())?,
        None => receiving.input_code()?,
    }
    receiving.until_done(interrupts).await
}

//! The sending side: what to send, the code, and the conversation as its user sees it.

use std::iter;
use std::time::Duration;

use wormhole_core::code::Code;
use wormhole_core::crypto::Verifier;
use wormhole_core::defaults;
use wormhole_core::uri::{Role, Uri};
use wormhole_core::wormhole::Event as Session;
use wormhole_tokio::transfer::{Event, OurOffer, Sender};

use crate::arguments::{Common, Send};
use crate::failure::Failure;
use crate::interrupts::Interrupts;
use crate::json::{self, Kind};
use crate::link::Invitation;
use crate::prompt::{self, Answer, Question};
use crate::qr;
use crate::screen::Screen;
use crate::secret::Secret;
use crate::sides::{self, or_interrupted};
use crate::source;
use crate::timing;
use crate::verifier;
use crate::view::View;

/// `wormhole send`.
pub(crate) async fn run(common: &Common, options: &Send, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let qr = options.qr().map_err(Failure::Usage)?;
    let secret = options.secret.with(&common.secret);
    let is_given = options.code.is_some() || options.code_file.is_some();
    let invitation = match secret.zero_code(&common.secret, is_given)? {
        Some(code) => Some(Invitation { code, server: None }),
        None => {
            let given =
                Invitation::given(options.code.as_deref(), options.code_file.as_deref(), Role::Leader);
            or_interrupted(interrupts, given).await??
        }
    };
    let common = &match &invitation {
        Some(invitation) => {
            common.at(or_interrupted(interrupts, invitation.mailbox(common.mailbox(), false)).await??)
        }
        None => common.clone(),
    };
    if invitation.is_some() && common.secret.has_length() {
        return Err(Failure::Usage("the code has its words already: leave -c away".to_owned()));
    }
    let config = sides::config(common, common.appid(), secret.verify);
    let config = or_interrupted(interrupts, config).await??;
    let screen = Screen::new(common.hide_progress);
    let content = or_interrupted(interrupts, source::content(options, secret.verify, &screen)).await??;
    source::announce(&content, &screen);
    let is_text = matches!(content.offer(), OurOffer::Text(_));
    let view = View::new(screen, common.mailbox()).of(common, "send");
    let mut sender = Sender::new(config, content)?;
    if view.traces() {
        sender.trace();
    }
    match invitation {
        Some(invitation) => sender.set_code(invitation.code)?,
        None => sender.allocate_code(secret.words())?,
    }
    let sending = Sending::new(sender, view, is_text, secret);
    // A link does not say for which application it is, so there is one for the usual only.
    let qr = if common.appid() == defaults::TRANSFER_APPID { qr } else { qr::Wish::Never };
    #[cfg(feature = "clipboard")]
    let sending = Sending { copy: options.copy, ..sending };
    let beside_input = source::is_input(options);
    Sending { qr, beside_input, ..sending }.until_done(interrupts).await
}

/// A sender and what its user sees and is asked.
pub(crate) struct Sending {
    sender: Sender,
    view: View,
    /// A text needs no connection and no confirmation of its own.
    is_text: bool,
    secret: Secret,
    /// Standard input is what is sent, and has no answers.
    beside_input: bool,
    qr: qr::Wish,
    #[cfg(feature = "clipboard")]
    copy: bool,
    /// What the user looks at.
    verifier: Option<Verifier>,
    /// What they say to it.
    asked: Option<Answer>,
}

impl Sending {
    pub(crate) const fn new(sender: Sender, view: View, is_text: bool, secret: Secret) -> Self {
        Self {
            sender,
            view,
            is_text,
            secret,
            beside_input: false,
            qr: qr::Wish::Never,
            #[cfg(feature = "clipboard")]
            copy: false,
            verifier: None,
            asked: None,
        }
    }

    /// Runs the conversation until there is a code.
    pub(crate) async fn until_code(&mut self) -> Result<Code, Failure> {
        loop {
            let event = self.sender.next_event().await;
            let code =
                if let Event::Session(Session::Code(code)) = &event { Some(code.clone()) } else { None };
            if let Some(end) = self.see(event) {
                end?;
            }
            if let Some(code) = code {
                return Ok(code);
            }
        }
    }

    /// How long content has flown.
    pub(crate) const fn flow(&self) -> Duration {
        self.view.flow()
    }

    /// Runs the conversation to its end.
    pub(crate) async fn until_done(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        loop {
            self.view.steps(iter::from_fn(|| self.sender.transition()));
            tokio::select! {
                biased;
                () = interrupts.next() => return self.leave(interrupts).await,
                line = prompt::answered(&mut self.asked) => self.verified(line.as_deref())?,
                event = self.sender.next_event() => {
                    if let Some(end) = self.see(event) {
                        return end;
                    }
                }
                () = self.view.due() => self.view.tick(&self.sender.progress()),
            }
        }
    }

    /// Shows what happened; gives the outcome with the last of it.
    fn see(&mut self, event: Event) -> Option<Result<(), Failure>> {
        json::event(&event);
        match event {
            Event::Session(event) => self.see_session(&event),
            Event::Offered(_)
            | Event::Answered
            | Event::OurHints(_)
            | Event::TheirHints(_)
            | Event::Stored(_)
            | Event::Complete => {}
            Event::Spooling => self.view.screen.note(
                "The other side's program has to know the length beforehand: reading standard input to its end ...",
            ),
            Event::Connected(path) => {
                self.view.begin("Sending", path, &self.sender.progress());
                timing::at("tx file");
            }
            Event::Sent => {
                timing::end("tx file");
                timing::at("get ack");
                self.view.end(&self.sender.progress());
                self.view.screen.note("File sent.. waiting for confirmation");
            }
            Event::Closed(outcome) => {
                timing::end("get ack");
                self.view.end(&self.sender.progress());
                if self.asked.is_some() {
                    // The question is still on the last line.
                    self.view.screen.note("");
                }
                return Some(outcome.map_err(Failure::from).map(|()| self.done()));
            }
        }
        None
    }

    fn see_session(&mut self, event: &Session) {
        self.view.session(event);
        match event {
            Session::Code(code) => self.show_code(code),
            Session::CodeConsumed => {
                // Where nobody reads it, that changes nothing for the transfer.
                let _ = self.view.screen.aside("Note: code has been consumed and can no longer be used.");
            }
            Session::Verifier(verifier) if self.secret.verify => {
                self.view.screen.note(verifier::words(verifier));
                self.verifier = Some(verifier.clone());
                self.ask();
            }
            Session::LinkUp
            | Session::LinkDown { .. }
            | Session::Welcome(_)
            | Session::Nameplates(_)
            | Session::WordsWanted
            | Session::PeerHeard
            | Session::UnverifiedKey
            | Session::Verifier(_)
            | Session::Versions(_)
            | Session::Record(_)
            | Session::Closed(_) => {}
        }
    }

    fn show_code(&self, code: &Code) {
        let verify = if self.secret.verify { "--verify " } else { "" };
        if self.secret.zero {
            json::code(code, None);
            self.view.screen.note(format_args!(
                "On the other computer, please run:\n\nwormhole receive {verify}-0\n\n\
                 Anybody who uses the same server can do so: -0 keeps no secret."
            ));
            return;
        }
        let link = self.link(code);
        json::code(code, link.as_ref());
        #[cfg(feature = "clipboard")]
        if self.copy {
            crate::clipboard::copy(code.to_string());
        }
        self.view.screen.say(format_args!("Wormhole code is: {code}"));
        if let Some(qr) = link.and_then(|link| qr::of(&link, self.qr)) {
            self.view.screen.note(qr);
        }
        self.view
            .screen
            .note(format_args!("On the other computer, please run:\n\nwormhole receive {verify}{code}\n"));
    }

    /// The code as a link, with the server if it is not the public one.
    fn link(&self, code: &Code) -> Option<Uri> {
        Uri::new(code.clone()).mailbox(self.view.mailbox()).ok()
    }

    fn ask(&mut self) {
        if let Some(verifier) = &self.verifier {
            let question =
                Question::new(Kind::Verifier, format!("{} ok? (yes/no): ", verifier::line(verifier)));
            let ask = if self.beside_input { prompt::ask_terminal } else { prompt::ask };
            self.asked = Some(ask(question));
        }
    }

    fn verified(&mut self, line: Option<&str>) -> Result<(), Failure> {
        match prompt::confirms(line) {
            Some(same) => sides::unless_over(self.sender.confirm_verifier(same)),
            None => {
                self.ask();
                Ok(())
            }
        }
    }

    fn done(&self) {
        self.view.screen.note(if self.is_text {
            "text message sent"
        } else {
            "Confirmation received. Transfer complete."
        });
    }

    /// Tells the other side, frees the code, and ends; at once if the user insists.
    async fn leave(&mut self, interrupts: &mut Interrupts) -> Result<(), Failure> {
        self.sender.cancel();
        let goodbye = sides::goodbye(async || self.sender.next_event().await);
        match or_interrupted(interrupts, goodbye).await? {
            // It was complete before we could stop it.
            Ok(()) => {
                self.done();
                Ok(())
            }
            Err(_) => Err(Failure::Interrupted),
        }
    }
}

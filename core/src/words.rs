//! The PGP word lists, and the completion of what is being typed.
//!
//! For each byte there is an *even* word of two syllables and an *odd* one of three. A code begins with an odd
//! word and alternates.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::code::Nameplate;

/// The word of two syllables for this byte, in lowercase.
pub fn even(byte: u8) -> &'static str {
    EVEN.split(' ').nth(usize::from(byte)).unwrap_or_default()
}

/// The word of three syllables for this byte, in lowercase.
pub fn odd(byte: u8) -> &'static str {
    ODD.split(' ').nth(usize::from(byte)).unwrap_or_default()
}

/// What the text after the nameplate's dash may become: each candidate is the whole text, with a dash at its end
/// while fewer than `expected` words stand there.
///
/// ```
/// use wormhole_core::words::complete_words;
///
/// assert_eq!(complete_words("ar", 2), ["armistice-", "article-"]);
/// assert_eq!(complete_words("armistice-bab", 2), ["armistice-baboon"]);
/// ```
pub fn complete_words(typed: &str, expected: usize) -> Vec<String> {
    let (done, last) = match typed.rfind('-') {
        Some(dash) => typed.split_at(dash.saturating_add(1)),
        None => ("", typed),
    };
    let dashes = done.matches('-').count();
    let list = if dashes.is_multiple_of(2) { ODD } else { EVEN };
    let end = if dashes.saturating_add(1) < expected { "-" } else { "" };
    list.split(' ').filter(|word| word.starts_with(last)).map(|word| format!("{done}{word}{end}")).collect()
}

/// The nameplates that begin with what was typed, each with the dash that follows it.
///
/// ```
/// use wormhole_core::{code::Nameplate, words::complete_nameplate};
///
/// let known = ["1", "12", "7"].map(|id| Nameplate::parse(id).unwrap());
/// assert_eq!(complete_nameplate("1", &known), ["1-", "12-"]);
/// ```
pub fn complete_nameplate(typed: &str, known: &[Nameplate]) -> Vec<String> {
    known
        .iter()
        .map(Nameplate::as_str)
        .filter(|id| id.starts_with(typed))
        .map(|id| format!("{id}-"))
        .collect()
}

/// The words of byte `index` of a code: odd, even, odd, ...
pub(crate) fn at(index: usize, byte: u8) -> &'static str {
    if index.is_multiple_of(2) { odd(byte) } else { even(byte) }
}

/// Words of two syllables, in the order of their bytes.
const EVEN: &str = "\
    aardvark absurd accrue acme adrift adult afflict ahead aimless algol allow alone ammo ancient apple \
    artist assume athens atlas aztec baboon backfield backward banjo beaming bedlamp beehive beeswax \
    befriend belfast berserk billiard bison blackjack blockade blowtorch bluebird bombast bookshelf brackish \
    breadline breakup brickyard briefcase burbank button buzzard cement chairlift chatter checkup chisel \
    choking chopper christmas clamshell classic classroom cleanup clockwork cobra commence concert cowbell \
    crackdown cranky crowfoot crucial crumpled crusade cubic dashboard deadbolt deckhand dogsled dragnet \
    drainage dreadful drifter dropper drumbeat drunken dupont dwelling eating edict egghead eightball \
    endorse endow enlist erase escape exceed eyeglass eyetooth facial fallout flagpole flatfoot flytrap \
    fracture framework freedom frighten gazelle geiger glitter glucose goggles goldfish gremlin guidance \
    hamlet highchair hockey indoors indulge inverse involve island jawbone keyboard kickoff kiwi klaxon \
    locale lockup merit minnow miser mohawk mural music necklace neptune newborn nightbird oakland obtuse \
    offload optic orca payday peachy pheasant physique playhouse pluto preclude prefer preshrunk printer \
    prowler pupil puppy python quadrant quiver quota ragtime ratchet rebirth reform regain reindeer rematch \
    repay retouch revenge reward rhythm ribcage ringbolt robust rocker ruffled sailboat sawdust scallion \
    scenic scorecard scotland seabird select sentence shadow shamrock showgirl skullcap skydive slingshot \
    slowdown snapline snapshot snowcap snowslide solo southward soybean spaniel spearhead spellbind spheroid \
    spigot spindle spyglass stagehand stagnate stairway standard stapler steamship sterling stockman \
    stopwatch stormy sugar surmount suspense sweatband swelter tactics talon tapeworm tempest tiger tissue \
    tonic topmost tracker transit trauma treadmill trojan trouble tumor tunnel tycoon uncut unearth unwind \
    uproot upset upshot vapor village virus vulcan waffle wallet watchword wayside willow woodlark zulu";

/// Words of three syllables, in the order of their bytes.
const ODD: &str = "\
    adroitness adviser aftermath aggregate alkali almighty amulet amusement antenna applicant apollo \
    armistice article asteroid atlantic atmosphere autopsy babylon backwater barbecue belowground bifocals \
    bodyguard bookseller borderline bottomless bradbury bravado brazilian breakaway burlington businessman \
    butterfat camelot candidate cannonball capricorn caravan caretaker celebrate cellulose certify \
    chambermaid cherokee chicago clergyman coherence combustion commando company component concurrent \
    confidence conformist congregate consensus consulting corporate corrosion councilman crossover crucifix \
    cumbersome customer dakota decadence december decimal designing detector detergent determine dictator \
    dinosaur direction disable disbelief disruptive distortion document embezzle enchanting enrollment \
    enterprise equation equipment escapade eskimo everyday examine existence exodus fascinate filament \
    finicky forever fortitude frequency gadgetry galveston getaway glossary gossamer graduate gravity \
    guitarist hamburger hamilton handiwork hazardous headwaters hemisphere hesitate hideaway holiness \
    hurricane hydraulic impartial impetus inception indigo inertia infancy inferno informant insincere \
    insurgent integrate intention inventive istanbul jamaica jupiter leprosy letterhead liberty maritime \
    matchmaker maverick medusa megaton microscope microwave midsummer millionaire miracle misnomer molasses \
    molecule montana monument mosquito narrative nebula newsletter norwegian october ohio onlooker opulent \
    orlando outfielder pacific pandemic pandora paperweight paragon paragraph paramount passenger pedigree \
    pegasus penetrate perceptive performance pharmacy phonetic photograph pioneer pocketful politeness \
    positive potato processor provincial proximate puberty publisher pyramid quantity racketeer rebellion \
    recipe recover repellent replica reproduce resistor responsive retraction retrieval retrospect revenue \
    revival revolver sandalwood sardonic saturday savagery scavenger sensation sociable souvenir specialist \
    speculate stethoscope stupendous supportive surrender suspicious sympathy tambourine telephone therapist \
    tobacco tolerance tomorrow torpedo tradition travesty trombonist truncated typewriter ultimate undaunted \
    underfoot unicorn unify universe unravel upcoming vacancy vagabond vertigo virginia visitor vocalist \
    voyager warranty waterloo whimsical wichita wilmington wyoming yesteryear yucatan";

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_byte_has_two_words_of_its_own() {
        for list in [EVEN, ODD] {
            let words: Vec<_> = list.split(' ').collect();
            assert_eq!(words.len(), 256);
            assert_eq!(words.iter().collect::<BTreeSet<_>>().len(), 256);
            assert!(words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_lowercase())));
        }
        assert_eq!([even(0), odd(0), even(255), odd(255)], ["aardvark", "adroitness", "zulu", "yucatan"]);
    }

    #[test]
    fn each_completion_of_a_completion_is_itself() {
        for typed in ["ar", "armistice-ba", "not-a-word-s"] {
            for done in complete_words(typed, 1) {
                assert!(done.starts_with(typed));
                assert_eq!(complete_words(&done, 1), [done]);
            }
        }
    }

    #[test]
    fn nameplates_are_completed_from_those_that_are_known() {
        let known = ["1", "12", "7"].map(|id| Nameplate::parse(id).unwrap());
        assert_eq!(complete_nameplate("", &known), ["1-", "12-", "7-"]);
        assert_eq!(complete_nameplate("12", &known), ["12-"]);
        assert!(complete_nameplate("3", &known).is_empty());
        assert!(complete_nameplate("", &[]).is_empty());
    }
}

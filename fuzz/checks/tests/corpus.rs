//! The corpus, replayed: what a fuzzer has found stays mended.

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use wormhole_fuzz::TARGETS;

    macro_rules! replayed {
        ($($name:ident)*) => {
            const REPLAYED: &[&str] = &[$(stringify!($name)),*];

            mod no_input_of_the_corpus_breaks {
                $(#[test]
                fn $name() {
                    super::replay(stringify!($name));
                })*
            }
        };
    }

    replayed! {
        addresses archive arrival code command handshake mailbox_server message_from_peer message_from_server proxy race
        record relay_line relay_pair relay_server schedule snapshot tls transcribe transfer untrusted upgrade uri websocket
        wormhole
    }

    #[test]
    fn every_target_is_replayed_and_has_a_file_for_libfuzzer() {
        let targets: BTreeSet<_> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        assert_eq!(REPLAYED.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>(), targets);
        assert_eq!(names_in(&fuzz("corpus")), targets);
        let files = targets.iter().map(|name| format!("{name}.rs")).collect::<BTreeSet<_>>();
        assert_eq!(names_in(&fuzz("fuzz_targets")), files);
    }

    fn replay(name: &str) {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        let corpus = fuzz("corpus").join(name);
        let inputs = names_in(&corpus);
        assert!(!inputs.is_empty(), "there is nothing to replay");
        (target.run)(&[]);
        for input in inputs {
            println!("{name}/{input}");
            (target.run)(&fs::read(corpus.join(input)).unwrap());
        }
    }

    fn names_in(directory: &Path) -> BTreeSet<String> {
        fs::read_dir(directory).unwrap().map(|it| it.unwrap().file_name().into_string().unwrap()).collect()
    }

    fn fuzz(part: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(part)
    }
}

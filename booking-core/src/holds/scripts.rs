//! The Lua scripts, put together from their shared parts, each with its digest.

/// One script as Redis knows it.
pub(super) struct Script {
    /// For logs.
    pub(super) name: &'static str,
    /// The whole text.
    pub(super) text: String,
    /// Its SHA-1, by which Redis finds it.
    pub(super) digest: String,
}

#[cfg(not(feature = "files-from-disk"))]
macro_rules! text {
    ($name:ident) => {
        include_str!(concat!("scripts/", stringify!($name), ".lua"))
    };
}

#[cfg(feature = "files-from-disk")]
macro_rules! text {
    ($name:ident) => {
        &std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/src/holds/scripts/", stringify!($name), ".lua"))
            .unwrap_or_default()
    };
}

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident: [$($part:ident),*];)*) => {
        /// All scripts; each file's header tells keys, arguments and answers.
        pub(super) struct Scripts { $($(#[$doc])* pub(super) $name: Script,)* }

        impl Scripts {
            pub(super) fn new() -> Self {
                Self {
                    $($name: assemble(
                        stringify!($name),
                        &[$(text!($part)),*],
                        text!($name),
                    ),)*
                }
            }

            /// All of them, to be loaded after each connect.
            pub(super) fn all(&self) -> Vec<&Script> {
                vec![$(&self.$name),*]
            }
        }
    };
}

scripts! {
    hold: [clock, show, settle, best, orphan];
    extend: [clock, show];
    release: [clock, show, settle];
    begin_book: [clock, show];
    end_book: [clock, show];
    expire: [clock, show, settle];
    due: [clock];
    apply: [clock, show, settle];
    load: [clock, show];
    complete: [clock, show];
    unload: [clock, show];
    state: [clock, show];
    snapshot: [clock, show];
    own_holds: [clock, show];
    list_holds: [clock, show];
    scrub_seats: [clock, show, settle];
    scrub_holds: [clock, show, settle];
    recount: [clock, show, settle];
    take_tokens: [];
}

/// The first line (`#!lua flags`) has to stay first.
fn assemble(name: &'static str, parts: &[&str], body: &str) -> Script {
    let (shebang, rest) = body.split_once('\n').unwrap_or((body, ""));
    let text = format!("{shebang}\n{}\n{rest}", parts.concat());
    let digest = redis::Script::new(&text).get_hash().to_owned();
    Script { name, text, digest }
}

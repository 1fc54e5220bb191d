//! Which clouds there are: the words of the configuration for them, and the settings that only one has.

/// Makes the clouds of one line each.
macro_rules! providers {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $application:expr, $own:expr;)+) => {
        /// Which cloud an account is of.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Provider {
            $($(#[$doc])* $variant,)+
        }

        impl Provider {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// As written in the configuration and shown in the status.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// What the cloud itself calls the id and the secret of an application.
            pub(super) fn application(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => $application,)+
                }
            }

            /// The settings of an account that only this cloud has a use for.
            pub(super) fn own_settings(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => $own,)+
                }
            }
        }
    };
}

// Another cloud is another line here, and a folder in `cloud/`.
providers! {
    /// Baidu Netdisk.
    Baidu = "baidu", ("AppKey", "SecretKey"), &["app", "share_type", "share_secret", "share_secret_file"];
    /// 123pan: its image host.
    Pan123 = "pan123", ("clientID", "clientSecret"), &[];
}

impl Provider {
    /// Of an account that does not say.
    pub const DEFAULT: Self = Self::Baidu;

    /// Whether an account of this cloud has such a setting: most are everybody's.
    pub(super) fn has(self, key: &str) -> bool {
        let is_own = |provider: &Self| provider.own_settings().contains(&key);
        is_own(&self) || !Self::ALL.iter().any(is_own)
    }
}

//! The core's filter flags as flags of the command line: the order in which they were typed counts.

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _};
use sidewall::flows::filter::{FLAGS, Filter, parse};

/// The filter that the flags make.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterFlags(pub(crate) Filter);

impl FilterFlags {
    /// The filter that a line of flags makes, as it would be typed after `sidewall observe`.
    ///
    /// # Errors
    /// In words, with every mistake.
    pub(crate) fn read(text: &str) -> Result<Filter, String> {
        let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
        let command = Self::augment_args(Command::new("filter"))
            .no_binary_name(true)
            .disable_help_flag(true);
        let matches = command.try_get_matches_from(words);
        let flags = matches.and_then(|matches| Self::from_arg_matches(&matches));
        // Behind the first paragraph clap tells how the whole command is used.
        let told = |error: clap::Error| {
            let text = error.to_string();
            let first = text.split("\n\n").next().unwrap_or_default();
            first.trim_start_matches("error: ").trim().to_owned()
        };
        flags.map(|flags| flags.0).map_err(told)
    }
}

impl clap::Args for FilterFlags {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.iter().map(|flag| {
            let mut arg = Arg::new(flag.name)
                .long(flag.name)
                .help(flag.help)
                .action(ArgAction::Append)
                .help_heading(
                    "Filters (one flag's values: any of them; several flags: all of them)",
                );
            if let Some(short) = flag.short {
                arg = arg.short(short);
            }
            match flag.value {
                Some(value) => arg.value_name(value).allow_hyphen_values(true),
                None => arg.num_args(0).default_missing_value(""),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for FilterFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut typed: Vec<(usize, &str, &str)> = Vec::new();
        for flag in FLAGS {
            let values = matches.get_many::<String>(flag.name).into_iter().flatten();
            let places = matches.indices_of(flag.name).into_iter().flatten();
            typed.extend(
                places
                    .zip(values)
                    .map(|(place, value)| (place, flag.name, value.as_str())),
            );
        }
        typed.sort_unstable();
        parse(typed.into_iter().map(|(_, name, value)| (name, value)))
            .map(Self)
            .map_err(|mistakes| {
                let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
                let text = told.join("\n       ");
                clap::Error::raw(clap::error::ErrorKind::ValueValidation, text)
            })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_flags_is_read_as_the_command_line_is() {
        let empty = FilterFlags::read("").expect("no flags");
        assert_eq!(empty, Filter::default());
        let typed = FilterFlags::read("--verdict DROPPED --label 'app in (a, b)' -n shop");
        let same = parse([
            ("verdict", "DROPPED"),
            ("label", "app in (a, b)"),
            ("namespace", "shop"),
        ]);
        assert_eq!(typed.expect("three flags"), same.expect("three flags"));
    }

    #[test]
    fn what_is_wrong_with_a_line_of_flags_is_told_in_a_sentence() {
        let told = |text| FilterFlags::read(text).expect_err(text);
        assert!(told("--verdict MAYBE").contains("MAYBE"));
        assert!(told("--colour red").contains("--colour"));
        assert!(told("--pod 'a").contains("quotation mark"));
        assert!(!told("--colour red").contains("Usage"));
    }
}

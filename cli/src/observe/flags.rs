//! The core's filter flags as flags of the command line: the order in which they were typed counts.

use clap::{Arg, ArgAction, ArgMatches, Command};
use sidewall::flows::filter::{FLAGS, Filter, parse};

/// The filter that the flags make.
#[derive(Debug, Clone, Default)]
pub(crate) struct FilterFlags(pub(crate) Filter);

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

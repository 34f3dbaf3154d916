//! Why a command could not do what it was asked: what is wrong, and what to do instead.

use std::process::ExitCode;

use config::Report;
use thiserror::Error;

use crate::api::{ApiError, Place};

/// Why a command failed.
#[derive(Debug, Error)]
pub enum Failure {
    /// The file, or what the command line stands for, holds mistakes.
    #[error("{report}")]
    Mistakes {
        /// All of them.
        report: Report,
        /// They were written on the command line.
        command_line: bool,
    },
    /// The node could not start.
    #[error("the node can't start: {0}")]
    Start(#[from] node::StartError),
    /// There could be no demo.
    #[error(transparent)]
    Demo(#[from] lab::demo::DemoError),
    /// A running node could not be asked, or refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// What is asked for can't be.
    #[error("{0}")]
    Request(String),
}

impl Failure {
    /// The node there answers otherwise than this build's do.
    pub fn foreign(place: &Place) -> Self {
        Self::Api(ApiError::NotANode {
            place: place.clone(),
            why: "its JSON lacks what this version looks for".to_owned(),
        })
    }

    /// What to do instead, if that can be said.
    pub fn help(&self) -> Option<&'static str> {
        match self {
            Self::Api(error) => error.help(),
            Self::Mistakes { .. } | Self::Start(_) | Self::Demo(_) | Self::Request(_) => None,
        }
    }

    /// 2 for wrong use, 1 for what did not hold.
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Request(_) | Self::Mistakes { command_line: true, .. } => ExitCode::from(2),
            Self::Mistakes { .. } | Self::Start(_) | Self::Demo(_) | Self::Api(_) => ExitCode::FAILURE,
        }
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Self {
        Self::Mistakes { report, command_line: false }
    }
}

//! Progress of an operation on stderr: a bar for people at a terminal, plain lines for everybody else.

use indicatif::{ProgressBar, ProgressStyle};
use proximity_api::logs::LogLine;

use crate::output::{Output, draws_bars};

/// How progress is shown in this run.
#[derive(Debug)]
pub(crate) enum Progress {
    /// A bar that is redrawn; texts stay above it.
    Bar(ProgressBar),
    /// One line per text.
    Lines(Output),
    /// Nothing.
    Silent,
}

impl Progress {
    pub(crate) fn begin(output: Output) -> Self {
        if output.quiet {
            return Self::Silent;
        }
        if !draws_bars() {
            return Self::Lines(output);
        }
        let bar = ProgressBar::new(100);
        // The template is constant; were it wrong, the default style would do.
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos:>3} %  {msg}  {elapsed}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        Self::Bar(bar)
    }

    /// Shows one line of the log.
    pub(crate) fn show(&self, line: &LogLine) {
        match self {
            Self::Bar(bar) => {
                bar.println(text(line));
                if let Some(percent) = line.percent {
                    bar.set_position(u64::from(percent));
                }
                bar.set_message(line.message.clone());
            }
            Self::Lines(output) => output.note(&text(line)),
            Self::Silent => {}
        }
    }

    /// Takes the bar away.
    pub(crate) fn end(self) {
        match self {
            Self::Bar(bar) => bar.finish_and_clear(),
            Self::Lines(_) | Self::Silent => {}
        }
    }
}

/// `  40 %  Starting container`, with a word in front of what did not go well.
pub(crate) fn text(line: &LogLine) -> String {
    let percent = line
        .percent
        .map_or_else(|| " ".repeat(5), |percent| format!("{percent:>3} %"));
    match line.level.as_str() {
        "info" => format!("{percent}  {}", line.message),
        level => format!("{percent}  {level}: {}", line.message),
    }
}

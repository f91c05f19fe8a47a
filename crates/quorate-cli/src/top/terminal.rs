//! The terminal: it is taken, drawn on until a key ends it, and given back as it was.

use std::io::{self, Stdout};
use std::pin::pin;
use std::thread;

use crossterm::event::{Event, KeyCode, KeyEventKind, KeyModifiers, read};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::exit::{Exit, Failure};
use crate::group::Group;
use crate::top::frame::Frame;
use crate::top::sample::{Keys, Sample};
use crate::top::screen::{View, draw};
use crate::top::{Times, look};

/// Keys that wait until they are looked at.
const MAX_KEYS: usize = 16;

/// A shell adds this to the number of the signal that has ended a command.
const OF_SIGNALS: u8 = 128;

/// The signal of Ctrl-C, which is a key while the terminal is taken.
const INTERRUPT: u8 = 2;

/// What somebody wants who has pressed a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    Down,
    End,
    /// Ended by this signal, or by the key that means it.
    Signal(u8),
    Pause,
    Redraw,
    Up,
}

/// The terminal while it is taken. It is given back when this is dropped, whatever ends the
/// command.
struct Taken(Terminal<CrosstermBackend<Stdout>>);

impl Taken {
    fn take() -> io::Result<Self> {
        // What is left half taken by an error is given back by `restore` as well.
        ratatui::try_init().map(Self)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Shows the group until somebody ends it.
///
/// # Errors
///
/// If nobody answers at the first look, or the terminal cannot be used.
pub(crate) async fn run(group: &Group, times: Times, view: View) -> Result<u8, Failure> {
    // Before the screen is taken: what is said of a failure is to be seen.
    let (sample, frame) = look(group, times, None, Keys::OneLimit).await?;
    let unusable = |error: io::Error| {
        let detail = format!("the terminal cannot be used ({error}): try --once or --json");
        Failure::usage("no_terminal", detail)
    };
    let taken = Taken::take().map_err(unusable)?;
    let (sender, keys) = channel(MAX_KEYS);
    // It ends with the process: a read of a terminal cannot be ended.
    thread::Builder::new()
        .name("keys".to_owned())
        .spawn(move || read_keys(&sender))
        .map_err(unusable)?;
    let mut shown = Shown { taken, frame, view };
    shown.until_end(group, times, sample, keys).await.map_err(unusable)
}

/// What stands on the terminal.
struct Shown {
    taken: Taken,
    frame: Frame,
    view: View,
}

impl Shown {
    async fn until_end(
        &mut self,
        group: &Group,
        times: Times,
        first: Sample,
        mut keys: Receiver<Wish>,
    ) -> io::Result<u8> {
        let mut sample = Some(first);
        let mut ending = pin!(ending());
        loop {
            self.draw()?;
            // A look may take seconds, and whoever presses a key shall not wait for it.
            let mut next_look = pin!(tokio::time::sleep(times.every));
            loop {
                let wish = tokio::select! {
                    wish = keys.recv() => wish.unwrap_or(Wish::End),
                    signal = &mut ending => Wish::Signal(signal),
                    () = &mut next_look, if !self.view.is_paused => break,
                };
                if let Some(code) = self.grant(wish)? {
                    return Ok(code);
                }
            }
            let mut look = pin!(look(group, times, sample.take(), Keys::OneLimit));
            let looked = loop {
                let wish = tokio::select! {
                    looked = &mut look => break looked,
                    wish = keys.recv() => wish.unwrap_or(Wish::End),
                    signal = &mut ending => Wish::Signal(signal),
                };
                if let Some(code) = self.grant(wish)? {
                    return Ok(code);
                }
            };
            match looked {
                Ok((next, frame)) => {
                    self.frame = frame;
                    self.view.failure = None;
                    sample = Some(next);
                }
                Err(failure) => self.view.failure = Some(failure.detail),
            }
        }
    }

    /// Does what a key says; returns the code for the shell if that is to end.
    fn grant(&mut self, wish: Wish) -> io::Result<Option<u8>> {
        self.view.grant(wish, self.frame.limits.len());
        self.draw()?;
        Ok(match wish {
            Wish::End => Some(Exit::Done.code()),
            Wish::Signal(signal) => Some(OF_SIGNALS + signal),
            _ => None,
        })
    }

    fn draw(&mut self) -> io::Result<()> {
        let Self { taken, frame, view } = self;
        taken.0.draw(|screen| draw(frame, view, screen.area(), screen.buffer_mut()))?;
        Ok(())
    }
}

/// Waits until the system wants this process to end: the terminal is to be given back then.
#[cfg(unix)]
async fn ending() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
    let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)] = kinds.map(signal) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => INTERRUPT,
        _ = terminate.recv() => 15,
        _ = hang_up.recv() => 1,
    }
}

#[cfg(not(unix))]
async fn ending() -> u8 {
    std::future::pending().await
}

impl View {
    /// Does what a key says, among so many limits.
    fn grant(&mut self, wish: Wish, limits: usize) {
        match wish {
            Wish::Pause => self.is_paused = !self.is_paused,
            Wish::Down => {
                self.first_limit = (self.first_limit + 1).min(limits.saturating_sub(1));
            }
            Wish::Up => self.first_limit = self.first_limit.saturating_sub(1),
            Wish::End | Wish::Signal(_) | Wish::Redraw => {}
        }
    }
}

/// Hands on what keys mean, until nobody wants to know.
fn read_keys(sender: &Sender<Wish>) {
    while let Ok(event) = read() {
        let Some(wish) = wish(&event) else { continue };
        if sender.blocking_send(wish).is_err() {
            return;
        }
    }
}

fn wish(event: &Event) -> Option<Wish> {
    let key = match event {
        Event::Key(key) if key.kind == KeyEventKind::Press => key,
        Event::Resize(_, _) => return Some(Wish::Redraw),
        _ => return None,
    };
    match key.code {
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => {
            Some(Wish::Signal(INTERRUPT))
        }
        KeyCode::Char('d') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Wish::End),
        KeyCode::Char('q') | KeyCode::Esc => Some(Wish::End),
        KeyCode::Char('p' | ' ') => Some(Wish::Pause),
        KeyCode::Down | KeyCode::Char('j') => Some(Wish::Down),
        KeyCode::Up | KeyCode::Char('k') => Some(Wish::Up),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let key = |code, modifiers| wish(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Wish::End));
        let interrupted = key(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(interrupted, Some(Wish::Signal(INTERRUPT)));
        assert_eq!(key(KeyCode::Char(' '), KeyModifiers::NONE), Some(Wish::Pause));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::NONE), None);
        assert_eq!(key(KeyCode::Char('p'), KeyModifiers::NONE), Some(Wish::Pause));
        assert_eq!(wish(&Event::Resize(80, 24)), Some(Wish::Redraw));
    }

    #[test]
    fn nobody_goes_beyond_the_last_limit() {
        let mut view = View::default();
        for _ in 0..5 {
            view.grant(Wish::Down, 3);
        }
        assert_eq!(view.first_limit, 2);
        for _ in 0..5 {
            view.grant(Wish::Up, 3);
        }
        assert_eq!(view.first_limit, 0);
        view.grant(Wish::Down, 0);
        assert_eq!(view.first_limit, 0);
        view.grant(Wish::Pause, 0);
        assert!(view.is_paused);
    }
}

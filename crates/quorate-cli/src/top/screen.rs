//! The screen: a header, warnings, members, limits, events.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Widget};

use crate::report::finding::Severity;
use crate::report::health::Health;
use crate::text::clean::shortened;
use crate::text::style::Paint;
use crate::text::table::{Side, Table};
use crate::text::units::{count, counted, micros, percent, rate, span, time_of_day};
use crate::top::frame::{Frame, LimitRow, Rates};
use crate::top::sample::Used;

/// Lines of warnings that are shown.
const MAX_WARNINGS: usize = 4;

/// Lines that are kept for members, limits and events, however much is wrong.
const MIN_PARTS: usize = 3;

/// Lines that are kept for the limits, however many members there are: of one limit.
const MIN_LIMITS: usize = 4;

/// Lines that are kept for the events, however many limits there are.
const MIN_EVENTS: usize = 4;

/// How a frame is shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) is_coloured: bool,
    pub(crate) is_paused: bool,
    /// The limit that stands first.
    pub(crate) first_limit: usize,
    /// Why what is shown is not of now.
    pub(crate) failure: Option<String>,
    /// The line of keys, where somebody may press them.
    pub(crate) has_keys: bool,
}

impl View {
    fn style(&self, paint: Paint) -> Style {
        let plain = Style::default();
        if !self.is_coloured {
            return plain;
        }
        match paint {
            Paint::Plain => plain,
            Paint::Good => plain.fg(Color::Green),
            Paint::Warning => plain.fg(Color::Yellow),
            Paint::Bad => plain.fg(Color::Red),
            Paint::Faint => plain.add_modifier(Modifier::DIM),
            Paint::Strong => plain.add_modifier(Modifier::BOLD),
        }
    }

    fn span(&self, paint: Paint, text: impl Into<String>) -> Span<'static> {
        Span::styled(text.into(), self.style(paint))
    }

    /// The heading of a part.
    fn heading(&self, text: &str) -> Line<'static> {
        Line::from(self.span(Paint::Strong, text.to_owned()))
    }
}

/// Draws a frame into all of an area.
pub(crate) fn draw(frame: &Frame, view: &View, area: Rect, buffer: &mut Buffer) {
    let width = usize::from(area.width);
    let header = header(frame, view);
    let room = usize::from(area.height)
        .saturating_sub(header.len())
        .saturating_sub(usize::from(view.has_keys));
    let warnings = warnings(frame, view, width, room.saturating_sub(MIN_PARTS));
    let room = room.saturating_sub(warnings.len());
    let mut limits = limits(frame, view, width);
    let mut members = members(&frame.members, view);
    let for_limits = limits.len().min(MIN_LIMITS).min(room / 2);
    fold(&mut members, room - for_limits, "member", view);
    let room = room - members.len();
    let for_events = MIN_EVENTS.min(room.saturating_sub(for_limits));
    fold(&mut limits, room - for_events, "limit", view);
    let height = |lines: &[Line<'_>]| Constraint::Length(lines.len() as u16);
    let parts = [
        height(&header),
        height(&warnings),
        height(&members),
        height(&limits),
        Constraint::Min(0),
        Constraint::Length(u16::from(view.has_keys)),
    ];
    let [at_header, at_warnings, at_members, at_limits, at_events, at_keys] =
        Layout::vertical(parts).areas(area);
    let events = events(frame, view, usize::from(at_events.height));
    for (lines, at) in [
        (header, at_header),
        (warnings, at_warnings),
        (members, at_members),
        (limits, at_limits),
        (events, at_events),
    ] {
        let lines: Vec<Line<'static>> = lines.into_iter().map(|line| cut(line, width)).collect();
        Paragraph::new(lines).render(at, buffer);
    }
    if view.has_keys {
        let pause = if view.is_paused { "p or space goes on" } else { "p or space pauses" };
        let keys = format!("q ends   {pause}   up and down: limits");
        let keys = Line::from(view.span(Paint::Faint, keys));
        Paragraph::new(cut(keys, width)).render(at_keys, buffer);
    }
}

/// Leaves out the last lines of a part that has no room for all, and says of how many that is.
fn fold(lines: &mut Vec<Line<'static>>, height: usize, thing: &str, view: &View) {
    if lines.len() <= height {
        return;
    }
    // A blank one, the heading, and one for each thing.
    let things = lines.len().saturating_sub(2);
    let kept = if height > 3 { height - 1 } else { 0 };
    let left_out = things - kept.saturating_sub(2);
    lines.truncate(kept);
    if height > 0 {
        let text = format!("+{}", counted(left_out as u64, thing));
        lines.push(Line::from(view.span(Paint::Faint, text)));
    }
}

/// A line that ends in a mark if it is longer than there is room.
fn cut(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let mut room = width.saturating_sub(1);
    let mut spans = Vec::new();
    for span in line.spans {
        let kept: String = span.content.chars().take(room).collect();
        room -= kept.chars().count();
        spans.push(Span::styled(kept, span.style));
    }
    spans.push(Span::raw("…"));
    Line::from(spans)
}

fn header(frame: &Frame, view: &View) -> Vec<Line<'static>> {
    let best = &frame.best;
    let (paint, word) = match frame.health {
        Health::Healthy => (Paint::Good, "healthy"),
        Health::Degraded => (Paint::Warning, "degraded"),
        Health::NoPrimary => (Paint::Bad, "nobody decides"),
    };
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let mut title = vec![
        view.span(Paint::Plain, "group "),
        view.span(Paint::Strong, best.group.clone()),
        view.span(Paint::Plain, "  "),
        view.span(paint, word),
        view.span(
            Paint::Plain,
            format!(
                "  generation {}  term {}  {}",
                number(best.generation),
                number(best.term),
                time_of_day(frame.now_ms)
            ),
        ),
    ];
    if view.is_paused {
        title.push(view.span(Paint::Warning, "  paused"));
    }
    let reign = frame.reign_ms().map(|ms| format!(" for {}", span(ms))).unwrap_or_default();
    let risk = best.unacknowledged_units.filter(|_| best.decides());
    let risk = risk.map(|units| format!("   a failover would lose {}", counted(units, "unit")));
    let rates =
        frame.rates.unwrap_or(Rates { decisions: f64::NAN, denials: f64::NAN, errors: f64::NAN });
    let time =
        |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| format!("<= {}", micros(us)));
    vec![
        Line::from(title),
        Line::from(format!(
            "primary {}{reign}   {}{}",
            frame.primary_told,
            frame.size_told,
            risk.unwrap_or_default()
        )),
        Line::from(format!(
            "decisions {}/s   denials {}/s   errors {}/s   forwarded p50 {} p99 {}",
            rate(rates.decisions),
            rate(rates.denials),
            rate(rates.errors),
            time(frame.p50_us),
            time(frame.p99_us),
        )),
    ]
}

/// What is wrong, as many to a line as fit.
fn warnings(frame: &Frame, view: &View, width: usize, room: usize) -> Vec<Line<'static>> {
    let most = MAX_WARNINGS.min(room.saturating_sub(1).max(1));
    let told = frame.findings.iter().map(|finding| {
        let paint = match finding.severity {
            Severity::Critical => Paint::Bad,
            Severity::Warning => Paint::Warning,
            Severity::Notice => Paint::Faint,
        };
        (paint, finding.text.clone())
    });
    let failure = view.failure.iter().map(|why| (Paint::Bad, format!("not of now: {why}")));
    let mut lines: Vec<Vec<Span<'static>>> = Vec::new();
    let mut used = width;
    let mut left_out = 0;
    for (paint, text) in failure.chain(told) {
        let text = shortened(&text, width.saturating_sub(2).max(1));
        let length = text.chars().count() + 3;
        if used + length > width {
            if lines.len() == most {
                left_out += 1;
                continue;
            }
            lines.push(vec![view.span(Paint::Strong, "! ")]);
            used = 2;
        } else if let Some(line) = lines.last_mut() {
            line.push(view.span(Paint::Faint, " | "));
        }
        if let Some(line) = lines.last_mut() {
            line.push(view.span(paint, text));
        }
        used += length;
    }
    if left_out > 0 {
        lines.push(vec![view.span(Paint::Faint, format!("! and {left_out} more: quorate status"))]);
    }
    lines.into_iter().map(Line::from).collect()
}

fn members(table: &Table, view: &View) -> Vec<Line<'static>> {
    let widths = table.widths();
    let mut lines = vec![Line::default()];
    let names = table.columns.iter().map(|(name, _)| (Paint::Faint, (*name).to_owned()));
    let rows = table
        .rows
        .iter()
        .map(|row| row.iter().map(|cell| (cell.paint, cell.text.clone())).collect::<Vec<_>>());
    for row in std::iter::once(names.collect()).chain(rows) {
        let mut spans = Vec::new();
        for (((paint, text), width), (_, side)) in row.into_iter().zip(&widths).zip(&table.columns)
        {
            let gap = " ".repeat(width.saturating_sub(text.chars().count()));
            let text = view.span(paint, text);
            match side {
                Side::Left => spans.extend([text, Span::raw(gap), Span::raw("  ")]),
                Side::Right => spans.extend([Span::raw(gap), text, Span::raw("  ")]),
            }
        }
        lines.push(Line::from(spans));
    }
    lines
}

fn limits(frame: &Frame, view: &View, width: usize) -> Vec<Line<'static>> {
    if frame.limits.is_empty() {
        return Vec::new();
    }
    let widest = frame.limits.iter().map(|row| row.name.chars().count()).max().unwrap_or_default();
    let name_width = widest.clamp(5, 24);
    let mut lines = vec![Line::default()];
    let heading =
        format!("{:<name_width$}  {:>9}  {:>9}  FULLEST KEYS", "LIMIT", "DECIDED/S", "DENIED/S");
    lines.push(Line::from(view.span(Paint::Faint, heading)));
    let first = view.first_limit.min(frame.limits.len() - 1);
    for LimitRow { name, rates, capacity, keys } in &frame.limits[first..] {
        let told = |get: fn(&Rates) -> f64| rates.as_ref().map_or(f64::NAN, get);
        let name = shortened(name, name_width);
        let start = format!(
            "{name:<name_width$}  {:>9}  {:>9}  ",
            rate(told(|rates| rates.decisions)),
            rate(told(|rates| rates.denials)),
        );
        let keys: Vec<String> = keys.iter().map(|used| fullness(used, *capacity)).collect();
        let keys = keys.join(", ");
        let room = width.saturating_sub(start.chars().count());
        lines.push(Line::from(vec![Span::raw(start), Span::raw(shortened(&keys, room.max(1)))]));
    }
    lines
}

/// A key, its units, and how much of the limit they are.
fn fullness(Used { key, used, .. }: &Used, capacity: Option<u64>) -> String {
    let part = capacity.and_then(|capacity| percent(*used, capacity));
    let part = part.map(|part| format!(" ({part} %)")).unwrap_or_default();
    format!("{} {}{part}", shortened(key, 24), count(*used))
}

/// The newest that fit, the newest last.
fn events(frame: &Frame, view: &View, height: usize) -> Vec<Line<'static>> {
    let mut lines = vec![Line::default(), view.heading("events")];
    let room = height.saturating_sub(lines.len());
    let newest = frame.events.len().saturating_sub(room);
    for (peer, event) in &frame.events[newest..] {
        let at = format!("{} {peer} ", time_of_day(event.at_ms));
        lines.push(Line::from(vec![
            view.span(Paint::Faint, at),
            view.span(event.paint(), event.name.clone()),
            Span::raw(" "),
            Span::raw(event.text.clone()),
        ]));
    }
    lines
}

/// The frame as lines of text, as wide as that, and as long as it is.
pub(crate) fn as_text(frame: &Frame, width: u16) -> Vec<String> {
    let lines = 16 + frame.members.rows.len() + frame.limits.len() + frame.events.len().min(10);
    let area = Rect::new(0, 0, width, lines as u16);
    let mut buffer = Buffer::empty(area);
    draw(frame, &View::default(), area, &mut buffer);
    let mut text = lines_of(&buffer);
    while text.last().is_some_and(String::is_empty) {
        text.pop();
    }
    text
}

/// What stands in a buffer, without the blanks at the ends of its lines.
pub(crate) fn lines_of(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(width);
    rows.map(|row| {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        line.trim_end().to_owned()
    })
    .collect()
}

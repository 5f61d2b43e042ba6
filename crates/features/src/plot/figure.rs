//! The figure as SVG text: panels, a legend, a line that says what was done.

use std::fmt::Write;

use longtail_artifact::escape::svg as svg_text;

use super::choose::Choice;
use longtail_metrics::ShotGroup;

use crate::FeaturesError;

/// What a point is; also the order in which they are drawn, the last on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A generated point, drawn as ×.
    Generated,
    /// A training point, drawn as ●.
    Train,
    /// A validation point, drawn as ★.
    Val,
}

/// One point of a panel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Dot {
    /// Which of the figure's classes.
    pub choice: usize,
    /// Kind of point, which decides the marker.
    pub kind: Kind,
    /// Position (x, y) in the plane.
    pub at: [f64; 2],
}

/// One picture of the figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Title above the panel.
    pub title: String,
    /// Points of the panel.
    pub dots: Vec<Dot>,
    /// Panels of one frame have one scale, so that places in them can be compared.
    pub frame: usize,
}

const PANEL: f64 = 330.0;
const GAP: f64 = 18.0;
const TITLE: f64 = 26.0;
const LEGEND: f64 = 240.0;
const CAPTION_LINE: f64 = 15.0;
/// A letter of the caption takes at most so much on average, whichever font there is.
const LETTER: f64 = 6.0;
/// Between the outermost points and the panel's border.
const INSET: f64 = 14.0;

/// Cool hues for many, warm ones for few, greys between: Okabe and Ito's colours and, from the fourth on, Tol's muted ones,
/// told apart by every kind of sight.
const MANY: [&str; 5] = ["#0072B2", "#56B4E9", "#009E73", "#332288", "#44AA99"];
const MEDIUM: [&str; 3] = ["#000000", "#777777", "#AAAAAA"];
const FEW: [&str; 5] = ["#D55E00", "#E69F00", "#CC79A7", "#882255", "#999933"];

/// The classes' colours, in their order.
///
/// # Errors
/// More classes of a group than can be told apart.
pub fn colours(choices: &[Choice]) -> Result<Vec<&'static str>, FeaturesError> {
    let mut next = [0usize; 3];
    let mut colours = Vec::with_capacity(choices.len());
    for choice in choices {
        let (place, palette): (usize, &[&'static str]) = match choice.group {
            ShotGroup::Many => (0, &MANY),
            ShotGroup::Medium => (1, &MEDIUM),
            ShotGroup::Few => (2, &FEW),
        };
        let Some(colour) = palette.get(next[place]) else {
            let (most, name) = (palette.len(), choice.group.name());
            return Err(FeaturesError::unfit(
                format!("at most {most} classes with {name} images can be distinguished by colour"),
                format!("choose at most {most} of each group, or draw several figures"),
            ));
        };
        colours.push(*colour);
        next[place] += 1;
    }
    Ok(colours)
}

/// Draws `panels` row by row, `columns` in each.
///
/// The text is a function of its arguments: numbers have two decimals, and nothing else is in it.
///
/// # Errors
/// As [`colours`].
pub fn draw(
    panels: &[Panel],
    columns: usize,
    choices: &[Choice],
    names: &[String],
    caption: &[String],
) -> Result<String, FeaturesError> {
    let colours = colours(choices)?;
    let rows = panels.len().div_ceil(columns);
    let body = rows as f64 * (PANEL + TITLE + GAP) - GAP;
    let has_generated = choices.iter().any(|choice| !choice.generated.is_empty());
    let legend = legend(choices, names, &colours, has_generated, GAP + columns as f64 * (PANEL + GAP));
    let body = body.max(legend.1);
    let width = GAP + columns as f64 * (PANEL + GAP) + LEGEND;
    let caption = wrap(caption, ((width - 2.0 * GAP) / LETTER) as usize);
    let height = GAP + body + GAP + caption.len() as f64 * CAPTION_LINE + GAP / 2.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} \
         {height:.0}\" font-family=\"Helvetica, Arial, Liberation Sans, sans-serif\" font-size=\"12\">\n<title>{}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#FFFFFF\"/>\n",
        svg_text(&caption.join(" "))
    );
    for (number, panel) in panels.iter().enumerate() {
        let x = GAP + (number % columns) as f64 * (PANEL + GAP);
        let y = GAP + (number / columns) as f64 * (PANEL + TITLE + GAP);
        panel_into(&mut svg, panel, &Scale::of(panels, panel.frame), &colours, x, y);
    }
    svg += &legend.0;
    for (line, text) in caption.iter().enumerate() {
        let y = GAP + body + GAP + CAPTION_LINE * line as f64 + 6.0;
        let _ = writeln!(
            svg,
            "<text x=\"{GAP:.0}\" y=\"{y:.0}\" font-size=\"11\" fill=\"#444444\">{}</text>",
            svg_text(text)
        );
    }
    svg += "</svg>\n";
    Ok(svg)
}

/// Lines of at most `most` letters, but for longer words.
fn wrap(lines: &[String], most: usize) -> Vec<String> {
    let mut wrapped = Vec::new();
    for line in lines {
        let mut now = String::new();
        for word in line.split(' ') {
            if !now.is_empty() && now.chars().count() + 1 + word.chars().count() > most {
                wrapped.push(std::mem::take(&mut now));
            }
            if !now.is_empty() {
                now.push(' ');
            }
            now += word;
        }
        wrapped.push(now);
    }
    wrapped
}

/// From data to pixels of a panel, the same along both axes.
struct Scale {
    middle: [f64; 2],
    factor: f64,
}

impl Scale {
    fn of(panels: &[Panel], frame: usize) -> Self {
        let dots = || panels.iter().filter(|panel| panel.frame == frame).flat_map(|panel| &panel.dots);
        let ends = |axis: usize| {
            dots().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), dot| {
                (low.min(dot.at[axis]), high.max(dot.at[axis]))
            })
        };
        let (x, y) = (ends(0), ends(1));
        let span = (x.1 - x.0).max(y.1 - y.0).max(f64::MIN_POSITIVE);
        Self { middle: [(x.0 + x.1) / 2.0, (y.0 + y.1) / 2.0], factor: (PANEL - 2.0 * INSET) / span }
    }

    fn place(&self, at: [f64; 2]) -> (f64, f64) {
        let [x, y] = [0, 1].map(|axis| (at[axis] - self.middle[axis]) * self.factor);
        // Upwards in data is upwards in the picture.
        (PANEL / 2.0 + x, PANEL / 2.0 - y)
    }
}

fn panel_into(svg: &mut String, panel: &Panel, scale: &Scale, colours: &[&str], x: f64, y: f64) {
    let _ =
        writeln!(svg, "<text x=\"{x:.0}\" y=\"{:.0}\" font-size=\"13\">{}</text>", y + 13.0, svg_text(&panel.title));
    let _ = writeln!(svg, "<g transform=\"translate({x:.0},{:.0})\">", y + TITLE);
    let _ = writeln!(svg, "<rect width=\"{PANEL:.0}\" height=\"{PANEL:.0}\" fill=\"none\" stroke=\"#BBBBBB\"/>");
    let mut dots: Vec<&Dot> = panel.dots.iter().collect();
    dots.sort_by_key(|dot| dot.kind);
    for dot in dots {
        let (x, y) = scale.place(dot.at);
        marker_into(svg, dot.kind, x, y, colours[dot.choice]);
    }
    *svg += "</g>\n";
}

fn marker_into(svg: &mut String, kind: Kind, x: f64, y: f64, colour: &str) {
    let _ = match kind {
        Kind::Train => writeln!(
            svg,
            "<circle cx=\"{x:.2}\" cy=\"{y:.2}\" r=\"3.4\" fill=\"{colour}\" fill-opacity=\"0.85\" stroke=\"#FFFFFF\" stroke-width=\"0.6\"/>"
        ),
        Kind::Generated => writeln!(
            svg,
            "<path d=\"M{:.2} {:.2}l5.6 5.6m0 -5.6l-5.6 5.6\" stroke=\"{colour}\" stroke-width=\"1.4\" stroke-opacity=\"0.8\" fill=\"none\"/>",
            x - 2.8,
            y - 2.8
        ),
        Kind::Val => {
            let mut points = String::new();
            for corner in 0..10 {
                let radius = if corner % 2 == 0 { 6.2 } else { 2.6 };
                let angle = std::f64::consts::PI * (f64::from(corner) / 5.0 - 0.5);
                let _ = write!(points, "{:.2},{:.2} ", x + radius * angle.cos(), y + radius * angle.sin());
            }
            let points = points.trim_end();
            writeln!(svg, "<polygon points=\"{points}\" fill=\"{colour}\" stroke=\"#000000\" stroke-width=\"0.7\"/>")
        }
    };
}

/// The legend and how far down it reaches.
fn legend(choices: &[Choice], names: &[String], colours: &[&str], has_generated: bool, x: f64) -> (String, f64) {
    const GREY: &str = "#444444";
    let mut svg = String::new();
    let mut y = GAP + TITLE + 8.0;
    let mut keys = vec![(Kind::Train, "training")];
    if has_generated {
        keys.push((Kind::Generated, "generated"));
    }
    keys.push((Kind::Val, "validation"));
    for (kind, word) in keys {
        marker_into(&mut svg, kind, x + 6.0, y - 4.0, GREY);
        let _ = writeln!(svg, "<text x=\"{:.0}\" y=\"{y:.0}\">{word}</text>", x + 18.0);
        y += 18.0;
    }
    y -= 18.0;
    for group in ShotGroup::ALL {
        let members: Vec<usize> = (0..choices.len()).filter(|place| choices[*place].group == group).collect();
        if members.is_empty() {
            continue;
        }
        y += 28.0;
        let plural = if members.len() == 1 { "class" } else { "classes" };
        let _ = writeln!(
            svg,
            "<text x=\"{x:.0}\" y=\"{y:.0}\" font-weight=\"bold\">{} with {} images</text>",
            capital(plural),
            group.name()
        );
        for place in members {
            let (choice, colour) = (&choices[place], colours[place]);
            y += 21.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{x:.0}\" y=\"{:.0}\" width=\"11\" height=\"11\" fill=\"{colour}\"/>\n<text x=\"{:.0}\" y=\"{y:.0}\">{}</text>",
                y - 10.0,
                x + 18.0,
                svg_text(&names[place])
            );
            y += 14.0;
            let generated =
                if has_generated { format!(" · {} generated", choice.generated.len()) } else { String::new() };
            let _ = writeln!(
                svg,
                "<text x=\"{:.0}\" y=\"{y:.0}\" font-size=\"10.5\" fill=\"{GREY}\">{} of {}{generated} · {} validation</text>",
                x + 18.0,
                choice.train.len(),
                choice.images,
                choice.val.len()
            );
        }
    }
    (svg, y - GAP)
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(class: u32, group: ShotGroup) -> Choice {
        Choice { class, group, images: 7, train: vec![0, 1], generated: vec![0], val: vec![0] }
    }

    #[test]
    fn every_point_has_its_marker_inside_the_panel() {
        let choices = [choice(3, ShotGroup::Many), choice(5, ShotGroup::Few)];
        let dot = |choice, kind, x, y| Dot { choice, kind, at: [x, y] };
        let dots =
            vec![dot(0, Kind::Val, -5.0, 0.0), dot(1, Kind::Train, 5.0, 2.0), dot(1, Kind::Generated, 0.0, -2.0)];
        let panels = [Panel { title: "(a) <both>".into(), dots, frame: 0 }];
        // A name that is not plain is no markup, and XML knows no control characters.
        let names = ["three \"\u{1b}[31m".to_owned(), "five & six\u{0}".to_owned()];
        let svg = draw(&panels, 1, &choices, &names, &["one line".into()]).expect("few classes");
        // One of each in the panel, one of each in the legend.
        assert_eq!(["<circle", "<path", "<polygon"].map(|tag| svg.matches(tag).count()), [2, 2, 2]);
        assert!(
            svg.contains("(a) &lt;both&gt;") && svg.contains("five &amp; six") && svg.contains("Class with few images")
        );
        assert!(svg.contains("three &quot; [31m<") && !svg.contains(|c: char| c.is_control() && c != '\n'), "{svg}");
        // The widest pair spans the panel but for its inset.
        assert!(svg.contains(&format!("cx=\"{:.2}\"", PANEL - INSET)), "{svg}");
        assert!(svg.contains(MANY[0]) && svg.contains(FEW[0]) && !svg.contains(MEDIUM[1]));
    }

    #[test]
    fn captions_are_wrapped_between_words() {
        let lines = ["aa bb cc".to_owned(), "longword x".to_owned(), String::new()];
        assert_eq!(wrap(&lines, 5), ["aa bb", "cc", "longword", "x", ""]);
    }

    #[test]
    fn more_classes_than_colours_are_refused() {
        let choices: Vec<Choice> = (0..6).map(|class| choice(class, ShotGroup::Few)).collect();
        assert!(colours(&choices).is_err() && colours(&choices[..5]).is_ok());
    }
}

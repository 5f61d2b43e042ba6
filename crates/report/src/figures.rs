//! Per-class accuracy against class count.

use longtail_metrics::ShotGroup;
use plotters::coord::combinators::LogCoord;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use crate::error::ReportError;
use crate::escape;
use crate::groups::mean;
use crate::summary::{ClassPoint, RowSummary, Summary};

/// One figure of the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// The file's name under `figures/`.
    pub name: String,
    /// What it shows, for a caption and for a screen reader.
    pub words: String,
    /// SVG text, with the words as its title.
    pub svg: String,
}

const WIDTH: u32 = 860;
const HEIGHT: u32 = 420;
/// Panels of the overview beside each other, and the height of one.
const PANELS_ACROSS: usize = 4;
const PANEL_HEIGHT: u32 = 190;
/// Height of a line of the overview's legend, and its entries in one line.
const LEGEND_LINE: u32 = 20;
const LEGEND_ACROSS: usize = 3;
/// Characters that fit beside a line of the legend, and above a figure.
const LONGEST_LEGEND: usize = 28;
const LONGEST_CAPTION: usize = 80;
/// Classes of about the same count share a point of the overview.
const BINS: usize = 10;
/// Okabe and Ito's colours, told apart by every kind of sight; yellow is too pale on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const GREY: RGBColor = RGBColor(120, 120, 120);

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// The overview of all rows that were run, then one figure for each.
pub(crate) fn figures(summary: &Summary) -> Result<Vec<Figure>, ReportError> {
    let run: Vec<&RowSummary> = summary.rows.iter().filter(|row| !row.seeds.is_empty()).collect();
    let mut figures = Vec::new();
    if run.len() > 1 {
        let tested =
            run.iter().flat_map(|row| &row.per_class).filter(|point| point.accuracy.is_some()).count() / run.len();
        let which = if run.len() == summary.rows.len() { "" } else { " that count" };
        let shared = if tested > BINS { ": classes with similar counts share a point" } else { "" };
        let words =
            format!("Accuracy against number of training images, all rows of {}{which}{shared}", summary.recipe);
        let size = (WIDTH, Overview::of(&run).height());
        figures.push(figure("all-rows.svg", words, size, |root| Overview::of(&run).draw(root, summary))?);
    }
    for row in run {
        let words = format!(
            "Accuracy of each class{} against its number of training images, {}, {}{}; lines: group means",
            if summary.untested_classes > 0 { " with test images" } else { "" },
            row.method(),
            match row.seeds.as_slice() {
                [seed] => format!("seed {seed}"),
                seeds => format!("mean over {} seeds", seeds.len()),
            },
            match edges(summary).len() {
                0 => "",
                1 => "; dashed: boundary of two shot groups",
                _ => "; dashed: boundaries of few, medium and many",
            }
        );
        let size = (WIDTH, HEIGHT);
        figures.push(figure(&format!("{}.svg", row.method()), words, size, |root| one_row(root, summary, row))?);
    }
    Ok(figures)
}

fn figure(
    name: &str,
    words: String,
    size: (u32, u32),
    draw: impl FnOnce(&Area) -> Result<(), Box<dyn std::error::Error>>,
) -> Result<Figure, ReportError> {
    let refuse = |what: String| ReportError::Figure { name: name.to_owned(), what };
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(|error| refuse(error.to_string()))?;
        draw(&root).map_err(|error| refuse(error.to_string()))?;
        root.present().map_err(|error| refuse(error.to_string()))?;
    }
    // plotters knows no titles, and a screen reader knows nothing else.
    let title = escape::svg(&words);
    let end = svg.find('>').ok_or_else(|| refuse("no svg element".to_owned()))?;
    svg.insert_str(end + 1, &format!("\n<title>{title}</title>"));
    svg.insert_str(end, " role=\"img\"");
    Ok(Figure { name: name.to_owned(), words, svg })
}

/// The range of class counts, a little wider than the classes so that no point lies on the frame.
fn counts(summary: &Summary) -> std::ops::Range<f64> {
    let fewest = summary.class_counts.iter().copied().min().unwrap_or(1).max(1);
    let most = summary.class_counts.iter().copied().max().unwrap_or(1).max(1);
    f64::from(fewest) / 1.25..f64::from(most) * 1.25
}

/// Where shot groups part, as far as it lies in the frame.
fn edges(summary: &Summary) -> Vec<f64> {
    let groups = summary.shot_groups;
    let edges = [f64::from(groups.few_below), f64::from(groups.many_above)];
    edges.into_iter().filter(|edge| counts(summary).contains(edge)).collect()
}

fn one_row(root: &Area, summary: &Summary, row: &RowSummary) -> Result<(), Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(root)
        .caption(escape::shortened(&row.method(), LONGEST_CAPTION), ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(counts(summary).log_scale(), 0f64..100f64)?;
    mesh(&mut chart)?;
    for edge in edges(summary) {
        let line = [(edge, 0.0), (edge, 100.0)];
        chart.draw_series(DashedLineSeries::new(line, 5, 4, GREY.stroke_width(1)))?;
    }
    for (name, member) in group_members(summary, row) {
        let Some(level) = row.mean.get(name).copied().flatten() else {
            continue;
        };
        let ends = member.iter().fold((f64::INFINITY, 0.0f64), |(low, high), point| {
            (low.min(f64::from(point.count)), high.max(f64::from(point.count)))
        });
        chart.draw_series(LineSeries::new([(ends.0, level), (ends.1, level)], COLOURS[1].stroke_width(2)))?;
    }
    let points = row.per_class.iter().filter_map(|point| Some((f64::from(point.count.max(1)), point.accuracy?)));
    chart.draw_series(points.map(|point| Circle::new(point, 4, COLOURS[0].mix(0.75).filled())))?;
    Ok(())
}

/// Counts on a logarithmic axis, percent on a plain one.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<LogCoord<f64>, RangedCoordf64>>;

fn mesh(chart: &mut Chart) -> Result<(), Box<dyn std::error::Error>> {
    mesh_with(chart, ("training images per class", 10), ("test accuracy, percent", 11))
}

/// With the axes' words, and at most so many numbers on each.
fn mesh_with(chart: &mut Chart, x: (&str, usize), y: (&str, usize)) -> Result<(), Box<dyn std::error::Error>> {
    chart
        .configure_mesh()
        .x_desc(x.0)
        .x_labels(x.1)
        .y_desc(y.0)
        .y_labels(y.1)
        .x_label_formatter(&|count| format!("{count:.0}"))
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .label_style(("sans-serif", 13))
        .draw()?;
    Ok(())
}

fn group_members<'a>(summary: &Summary, row: &'a RowSummary) -> [(&'static str, Vec<&'a ClassPoint>); 3] {
    ShotGroup::ALL.map(|group| {
        let of_group = |point: &&ClassPoint| ShotGroup::of(point.count, summary.shot_groups) == group;
        (group.name(), row.per_class.iter().filter(of_group).collect())
    })
}

/// A panel for each classifier, in it a line for each representation; the table's first row is in every panel, in grey.
struct Overview<'a> {
    rows: &'a [&'a RowSummary],
    classifiers: Vec<&'a String>,
    representations: Vec<&'a String>,
}

impl<'a> Overview<'a> {
    fn of(rows: &'a [&'a RowSummary]) -> Self {
        let (classifiers, representations) =
            (distinct(rows, |row| &row.classifier), distinct(rows, |row| &row.representation));
        Self { rows, classifiers, representations }
    }

    fn legend_height(&self) -> u32 {
        LEGEND_LINE * (1 + self.representations.len()).div_ceil(LEGEND_ACROSS) as u32 + 10
    }

    fn lines_of_panels(&self) -> usize {
        self.classifiers.len().div_ceil(PANELS_ACROSS)
    }

    fn height(&self) -> u32 {
        self.legend_height() + PANEL_HEIGHT * self.lines_of_panels() as u32
    }

    fn draw(&self, root: &Area, summary: &Summary) -> Result<(), Box<dyn std::error::Error>> {
        let (legend, panels) = root.split_vertically(self.legend_height());
        self.draw_legend(&legend)?;
        let first = self.rows[0];
        let across = self.classifiers.len().min(PANELS_ACROSS);
        let panels = panels.split_evenly((self.lines_of_panels(), across));
        for (place, (panel, classifier)) in panels.iter().zip(&self.classifiers).enumerate() {
            let mut chart = ChartBuilder::on(panel)
                .caption(escape::shortened(classifier, LONGEST_LEGEND), ("sans-serif", 14))
                .margin(6)
                .x_label_area_size(34)
                .y_label_area_size(if place % across == 0 { 44 } else { 28 })
                .build_cartesian_2d(counts(summary).log_scale(), 0f64..100f64)?;
            let words = if place % across == 0 { "accuracy, percent" } else { "" };
            mesh_with(&mut chart, ("images per class", 4), (words, 6))?;
            chart.draw_series(LineSeries::new(binned(&first.per_class), GREY.stroke_width(1)))?;
            for row in self.rows.iter().filter(|row| row.classifier == **classifier) {
                let which = position(&self.representations, &row.representation);
                let (colour, line) = (COLOURS[which % COLOURS.len()], binned(&row.per_class));
                chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
                for point in &line {
                    draw_marker(root, chart.backend_coord(point), which, colour)?; // its place is that on the whole figure
                }
            }
        }
        Ok(())
    }

    fn draw_legend(&self, area: &Area) -> Result<(), Box<dyn std::error::Error>> {
        let first = format!("{} in every panel", escape::shortened(&self.rows[0].method(), LONGEST_LEGEND));
        let entries = self.representations.iter().map(|name| escape::shortened(name, LONGEST_LEGEND)).chain([first]);
        for (place, words) in entries.enumerate() {
            let x = 50 + (place % LEGEND_ACROSS) as i32 * (WIDTH as i32 - 50) / LEGEND_ACROSS as i32;
            let y = 16 + LEGEND_LINE as i32 * (place / LEGEND_ACROSS) as i32;
            let colour = if place < self.representations.len() { COLOURS[place % COLOURS.len()] } else { GREY };
            area.draw(&PathElement::new([(x, y), (x + 28, y)], colour.stroke_width(2)))?;
            if place < self.representations.len() {
                draw_marker(area, (x + 14, y), place, colour)?;
            }
            area.draw(&Text::new(words, (x + 36, y - 7), ("sans-serif", 13)))?;
        }
        Ok(())
    }
}

/// Circle, square, triangle, cross: by shape too, not by colour alone.
fn draw_marker(area: &Area, at: (i32, i32), marker: usize, colour: RGBColor) -> Result<(), Box<dyn std::error::Error>> {
    let (x, y) = at;
    match marker % 4 {
        0 => area.draw(&Circle::new(at, 4, colour.filled()))?,
        1 => area.draw(&Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], colour.filled()))?,
        2 => area.draw(&TriangleMarker::new(at, 6, colour.filled()))?,
        _ => area.draw(&Cross::new(at, 4, colour.stroke_width(2)))?,
    }
    Ok(())
}

fn distinct<'a>(rows: &[&'a RowSummary], of: impl Fn(&'a RowSummary) -> &'a String) -> Vec<&'a String> {
    let mut names = Vec::new();
    for row in rows {
        if !names.contains(&of(row)) {
            names.push(of(row));
        }
    }
    names
}

fn position(names: &[&String], name: &String) -> usize {
    names.iter().position(|own| *own == name).unwrap_or(0)
}

/// Classes sorted by count in at most `BINS` bins of as equal a number of classes as can be: geometric mean of the
/// counts, mean accuracy.
fn binned(points: &[ClassPoint]) -> Vec<(f64, f64)> {
    let mut known: Vec<(u32, f64)> =
        points.iter().filter_map(|point| Some((point.count.max(1), point.accuracy?))).collect();
    known.sort_by_key(|(count, _)| *count);
    let bins = known.len().min(BINS);
    (0..bins)
        .filter_map(|bin| {
            let bin = &known[bin * known.len() / bins..(bin + 1) * known.len() / bins];
            let logs: Vec<f64> = bin.iter().map(|(count, _)| f64::from(*count).ln()).collect();
            let accuracies: Vec<f64> = bin.iter().map(|(_, accuracy)| *accuracy).collect();
            Some((mean(&logs)?.exp(), mean(&accuracies)?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_hold_every_class_once() {
        let points: Vec<ClassPoint> = (0..25).map(|k| ClassPoint { count: 10, accuracy: Some(f64::from(k)) }).collect();
        let bins = binned(&points);
        assert_eq!(bins.len(), BINS);
        assert!(bins.iter().all(|(count, _)| (count - 10.0).abs() < 1e-9));
        assert_eq!((bins[0].1, bins[9].1), (0.5, 23.0));
        assert!(binned(&[]).is_empty());
    }
}

//! [`Metric`]: one figure, as systems for metrics take it.

use std::fmt;

/// One figure of [`Stats`](crate::Stats), as systems for metrics take it; see
/// [`Stats::visit`](crate::Stats::visit).
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Metric {
    /// By the conventions of Prometheus: it begins with `relay_registry_`, ends with the unit if
    /// there is one, and with `_total` if this is a counter. Figures that differ in their labels
    /// alone have one name, and are visited one after another.
    pub name: &'static str,
    /// What it counts or measures, as a sentence. The same for all of one name.
    pub help: &'static str,
    /// The unit of the value. The same for all of one name.
    pub unit: MetricUnit,
    /// Whether the value may fall. The same for all of one name.
    pub kind: MetricKind,
    /// Names and values of labels, none or one, of lower-case letters and underscores. Name and
    /// labels together are unique.
    pub labels: &'static [(&'static str, &'static str)],
    /// The figure. Truth values are 0 or 1. Exact up to 2<sup>53</sup>.
    pub value: f64,
}

/// The unit of a [`Metric`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricUnit {
    /// A number of things.
    Count,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// Whether the value of a [`Metric`] may fall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows while the registry lives.
    Counter,
    /// It grows and falls.
    Gauge,
}

/// As the text format of Prometheus has it: `counter` or `gauge`.
impl fmt::Display for MetricKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
        })
    }
}

/// What the figures of one name have in common.
#[derive(Clone, Copy)]
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) unit: MetricUnit,
    pub(super) kind: MetricKind,
}

impl Family {
    pub(super) const fn counter(name: &'static str, help: &'static str) -> Self {
        Self {
            name,
            help,
            unit: MetricUnit::Count,
            kind: MetricKind::Counter,
        }
    }

    pub(super) const fn gauge(name: &'static str, help: &'static str) -> Self {
        Self {
            kind: MetricKind::Gauge,
            ..Self::counter(name, help)
        }
    }

    pub(super) const fn of(self, unit: MetricUnit) -> Self {
        Self { unit, ..self }
    }

    pub(super) fn metric(
        self,
        labels: &'static [(&'static str, &'static str)],
        value: f64,
    ) -> Metric {
        let Self {
            name,
            help,
            unit,
            kind,
        } = self;
        Metric {
            name,
            help,
            unit,
            kind,
            labels,
            value,
        }
    }
}

/// Passes figures on.
pub(super) struct Visitor<'a>(pub(super) &'a mut dyn FnMut(Metric));

impl Visitor<'_> {
    pub(super) fn counter(&mut self, name: &'static str, help: &'static str, count: u64) {
        self.visit(Family::counter(name, help), count as f64);
    }

    pub(super) fn gauge(&mut self, name: &'static str, help: &'static str, value: usize) {
        self.visit(Family::gauge(name, help), value as f64);
    }

    pub(super) fn visit(&mut self, family: Family, value: f64) {
        (self.0)(family.metric(&[], value));
    }

    /// Figures of one name, each with its labels.
    pub(super) fn visit_each(
        &mut self,
        family: Family,
        each: impl IntoIterator<Item = (&'static [(&'static str, &'static str)], f64)>,
    ) {
        for (labels, value) in each {
            (self.0)(family.metric(labels, value));
        }
    }
}

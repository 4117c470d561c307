//! [`Recorder`]: a subscriber that records what it is told, and can panic or call back.

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// One event, or one span.
#[derive(Clone, Debug)]
pub struct Said {
    pub level: Level,
    pub target: String,
    /// The message of an event, or the name of a span.
    pub text: String,
    pub fields: BTreeMap<String, String>,
    /// The name of the span that the thread was in.
    pub within: Option<String>,
    /// Of a span.
    pub is_closed: bool,
}

type Hook = Arc<dyn Fn() + Send + Sync>;

#[derive(Clone, Default)]
pub struct Recorder(Arc<State>);

#[derive(Default)]
struct State {
    events: Mutex<Vec<Said>>,
    spans: Mutex<Vec<Said>>,
    entered: Mutex<Vec<usize>>,
    hook: Mutex<Option<Hook>>,
    is_broken: AtomicBool,
}

impl Said {
    fn new(metadata: &Metadata<'_>, within: Option<String>) -> Self {
        Self {
            level: *metadata.level(),
            target: metadata.target().into(),
            text: metadata.name().into(),
            fields: BTreeMap::new(),
            within,
            is_closed: false,
        }
    }

    /// A field that must be there.
    #[track_caller]
    pub fn field(&self, name: &str) -> &str {
        let value = self.fields.get(name);
        value.unwrap_or_else(|| panic!("{self:?} has no {name}"))
    }

    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        let value = self.field(name);
        value
            .parse()
            .unwrap_or_else(|error| panic!("{name} of {self:?}: {error}"))
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = String::new();
        write!(text, "{value:?}").expect("a string");
        if field.name() == "message" {
            self.text = text;
        } else {
            self.fields.insert(field.name().into(), text);
        }
    }
}

impl Recorder {
    /// Calls `act` with this as the subscriber of the thread.
    pub fn during<R>(&self, act: impl FnOnce() -> R) -> R {
        tracing::subscriber::with_default(self.clone(), act)
    }

    pub fn events(&self) -> Vec<Said> {
        self.0.events.lock().unwrap().clone()
    }

    pub fn events_of(&self, level: Level) -> Vec<Said> {
        let is_of = |said: &Said| said.level == level;
        self.events().into_iter().filter(is_of).collect()
    }

    pub fn warnings(&self) -> Vec<Said> {
        self.events_of(Level::WARN)
    }

    /// The spans that have ended, by name.
    pub fn spans(&self, name: &str) -> Vec<Said> {
        let is_it = |said: &&Said| said.text == name && said.is_closed;
        let spans = self.0.spans.lock().unwrap();
        spans.iter().filter(is_it).cloned().collect()
    }

    /// How much was said.
    pub fn count(&self) -> usize {
        self.events().len() + self.0.spans.lock().unwrap().len()
    }

    /// Forgets the events.
    pub fn clear(&self) {
        self.0.events.lock().unwrap().clear();
    }

    /// Has each call of the subscriber call `hook`, unless it is within one.
    pub fn set_hook(&self, hook: impl Fn() + Send + Sync + 'static) {
        *self.0.hook.lock().unwrap() = Some(Arc::new(hook));
    }

    /// Has each call of the subscriber panic.
    pub fn set_broken(&self, is_broken: bool) {
        self.0.is_broken.store(is_broken, Ordering::Relaxed);
    }

    pub fn is_within_a_span(&self) -> bool {
        !self.0.entered.lock().unwrap().is_empty()
    }

    fn called(&self) {
        assert!(!self.0.is_broken.load(Ordering::Relaxed), "broken");
        // Taken, so that what the hook does is only recorded.
        let hook = self.0.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
            *self.0.hook.lock().unwrap() = Some(hook);
        }
    }

    fn within(&self) -> Option<String> {
        let entered = *self.0.entered.lock().unwrap().last()?;
        Some(self.0.spans.lock().unwrap()[entered].text.clone())
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64()).expect("few spans") - 1
}

impl Subscriber for Recorder {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("relay_registry::")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.called();
        let mut said = Said::new(attributes.metadata(), self.within());
        attributes.record(&mut said);
        let mut spans = self.0.spans.lock().unwrap();
        spans.push(said);
        Id::from_u64(spans.len() as u64)
    }

    fn record(&self, id: &Id, values: &Record<'_>) {
        self.called();
        values.record(&mut self.0.spans.lock().unwrap()[index(id)]);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.called();
        let mut said = Said::new(event.metadata(), self.within());
        event.record(&mut said);
        self.0.events.lock().unwrap().push(said);
    }

    fn enter(&self, id: &Id) {
        self.called();
        self.0.entered.lock().unwrap().push(index(id));
    }

    fn exit(&self, id: &Id) {
        assert_eq!(self.0.entered.lock().unwrap().pop(), Some(index(id)));
        self.called();
    }

    fn try_close(&self, id: Id) -> bool {
        self.0.spans.lock().unwrap()[index(&id)].is_closed = true;
        self.called();
        true
    }
}

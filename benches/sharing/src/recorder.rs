//! The memory accesses of a thread, as `recorder.c` records them.

/// One access. The layout is that of `struct access`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Access {
    pub address: usize,
    /// Where in the program, from its start.
    pub code: usize,
    bytes: u32,
    writes: u32,
}

unsafe extern "C" {
    fn recorder_start(log: *mut Access, capacity: usize);
    fn recorder_stop() -> usize;
    fn recorder_set_cores(count: i32);
}

/// The most accesses of one call.
const CAPACITY: usize = 1 << 20;

impl Access {
    pub fn writes(&self) -> bool {
        self.writes != 0
    }

    /// The numbers of the blocks of this size, as a power of two, that it touches.
    pub fn blocks(&self, log2: u32) -> impl Iterator<Item = usize> + use<> {
        let last = self.address + self.bytes.max(1) as usize - 1;
        self.address >> log2..=last >> log2
    }
}

/// Pretends that the machine has so many cores.
pub fn pretend_cores(count: usize) {
    // SAFETY: it only stores the number; no other thread runs yet.
    unsafe { recorder_set_cores(count as i32) };
    let found = std::thread::available_parallelism().map_or(0, |cores| cores.get());
    assert_eq!(found, count, "the number of cores has another source");
}

/// What a thread records into.
pub struct Recorder {
    log: Vec<Access>,
}

impl Recorder {
    pub fn new() -> Self {
        Self {
            log: Vec::with_capacity(CAPACITY),
        }
    }

    /// The accesses of this thread in one call.
    pub fn record(&mut self, call: impl FnOnce()) -> &[Access] {
        self.log.clear();
        // SAFETY: the log has room for so many accesses, and lives until recording stops.
        unsafe { recorder_start(self.log.as_mut_ptr(), self.log.capacity()) };
        call();
        // SAFETY: the recorder wrote so many accesses, within the capacity.
        unsafe { self.log.set_len(recorder_stop()) };
        &self.log
    }
}

impl Default for Recorder {
    fn default() -> Self {
        Self::new()
    }
}

//! Filling a frame.

use crate::base::{MonoNanos, StreamNumber, mark};

use super::{
    FRAME_BYTES_MAX, Filling, Frame, Left, Offer, OutLane, PARTS_MAX, PIECE_BYTES_MAX, PING_MS, Place, Run,
    SILENT_MS, Turn, WATERMARKS_MS,
};

impl OutLane {
    /// Whether a frame is to be filled now.
    #[must_use]
    pub fn wants_frame(&self, now: MonoNanos) -> bool {
        self.has_runs() || self.watermarks_due() <= now || self.ping_due() <= now
    }

    /// When [`OutLane::wants_frame`] or [`OutLane::is_silent`] may become true without any input.
    #[must_use]
    pub fn due(&self, now: MonoNanos) -> MonoNanos {
        if self.has_runs() {
            return now;
        }
        let silent =
            if self.streams.is_empty() { MonoNanos::NEVER } else { self.heard_at.plus_ms(SILENT_MS) };
        self.watermarks_due().min(self.ping_due()).min(silent)
    }

    /// Whether somebody has a run, and there is credit for it.
    fn has_runs(&self) -> bool {
        let waits = !self.hot.is_empty() || !self.read.is_empty();
        let needed = self.first.map_or(1, |(_, needed)| needed);
        waits && self.credit >= i64::try_from(needed).unwrap_or(i64::MAX)
    }

    fn watermarks_due(&self) -> MonoNanos {
        match (self.watermarks.is_empty(), self.is_urgent) {
            (true, _) => MonoNanos::NEVER,
            (false, true) => MonoNanos(0),
            (false, false) => self.watermarks_at.plus_ms(WATERMARKS_MS),
        }
    }

    fn ping_due(&self) -> MonoNanos {
        if self.streams.is_empty() { MonoNanos::NEVER } else { self.sent_at.plus_ms(PING_MS) }
    }

    /// A frame has no more bytes than this, unless one batch is larger.
    fn frame_bytes_max(&self) -> u64 {
        FRAME_BYTES_MAX.min(self.window)
    }

    /// What still goes into the frame.
    fn room(&self) -> u64 {
        let credit = u64::try_from(self.credit).unwrap_or(0);
        self.frame_bytes_max().saturating_sub(self.filling.frame.bytes).min(credit)
    }

    /// The next stream to put something into the frame; none if the frame is full or nobody has anything.
    ///
    /// A turn for a run is followed by [`OutLane::offer`]; one for a watermark is a part already.
    pub fn next_turn(&mut self, now: MonoNanos) -> Option<Turn> {
        let has_place = self.filling.frame.parts < PARTS_MAX;
        if has_place && !self.filling.is_full && self.has_runs() {
            let turn = self.next_run();
            if turn.is_some() {
                return turn;
            }
        }
        if has_place && self.watermarks_due() <= now { self.next_watermark() } else { None }
    }

    fn next_run(&mut self) -> Option<Turn> {
        let room = self.room();
        if room == 0 {
            return None;
        }
        let quarter = room / 4;
        if self.filling.cold_max.is_none() {
            // What cold streams took beyond their part before is taken off.
            let paid = self.cold_debt.min(quarter);
            self.cold_debt -= paid;
            self.filling.cold_max = Some(quarter - paid);
        }
        self.skip_closed();
        let cold_left = self.cold_left();
        let number =
            if !self.read.is_empty() && cold_left > 0 { *self.read.front()? } else { *self.hot.front()? };
        let stream = self.streams.get(&number)?;
        let most = if stream.place == Place::Read { room.min(cold_left) } else { room };
        let bytes_max = u32::try_from(most.min(PIECE_BYTES_MAX)).expect("a piece's size");
        Some(Turn::Run { stream: number, next: stream.next, bytes_max })
    }

    /// What cold streams may yet have of this frame.
    fn cold_left(&self) -> u64 {
        if self.hot.is_empty() {
            return u64::MAX;
        }
        self.filling.cold_max.unwrap_or(0).saturating_sub(self.filling.cold_bytes)
    }

    fn skip_closed(&mut self) {
        for queue in [&mut self.hot, &mut self.read] {
            while queue.front().is_some_and(|number| !self.streams.contains_key(number)) {
                queue.pop_front();
            }
        }
    }

    fn next_watermark(&mut self) -> Option<Turn> {
        loop {
            let number = self.watermarks.pop_front()?;
            let Some(stream) = self.streams.get_mut(&number) else { continue };
            stream.is_queued = false;
            if std::mem::take(&mut stream.is_dirty) {
                self.filling.frame.parts += 1;
                self.filling.has_watermark = true;
                return Some(Turn::Watermark { stream: number, next: stream.next });
            }
        }
    }

    /// Offers a run for the turn of `number`, which is the stream that [`OutLane::next_turn`] has named last.
    ///
    /// # Panics
    ///
    /// If it is not that stream's turn, or the run goes back.
    pub fn offer(&mut self, number: StreamNumber, run: Run) -> Offer {
        let stream = *self.streams.get(&number).expect("a stream that has its turn is open");
        assert!(run.end >= stream.next, "a run goes back from {} to {}", stream.next, run.end);
        let bytes = u64::from(run.bytes);
        if !self.fits(bytes) {
            // The first of a later frame, which begins once there is credit for it.
            let needed = if bytes > self.frame_bytes_max() { 1 } else { bytes };
            self.first = Some((number, needed));
            self.filling.is_full = true;
            return Offer::NotNow;
        }
        let queue = if stream.place == Place::Read { &mut self.read } else { &mut self.hot };
        assert!(queue.pop_front() == Some(number), "it is not the turn of stream {}", number.0);
        self.first = None;
        if bytes > 0 {
            self.place(number, stream.place, bytes);
        }
        self.go_on(number, run);
        Offer::Placed
    }

    /// A run goes into the room there is. One larger than a frame goes alone, as soon as there is any credit.
    fn fits(&self, bytes: u64) -> bool {
        let is_alone = self.filling.frame.bytes == 0;
        bytes <= self.room() || (is_alone && bytes > self.frame_bytes_max() && self.credit > 0)
    }

    fn place(&mut self, number: StreamNumber, place: Place, bytes: u64) {
        let Filling { frame, cold_bytes, .. } = &mut self.filling;
        frame.parts += 1;
        frame.bytes += bytes;
        self.credit -= i64::try_from(bytes).expect("the size of a run");
        if place == Place::Read {
            *cold_bytes += bytes;
        }
        if bytes > self.frame_bytes_max() {
            mark("batch larger than a frame goes alone");
            self.filling.is_full = true;
        }
        if let Some(stream) = self.streams.get_mut(&number) {
            stream.is_dirty = false;
        }
    }

    /// Puts the stream where its next run is.
    fn go_on(&mut self, number: StreamNumber, run: Run) {
        let Some(stream) = self.streams.get_mut(&number) else { return };
        let was_read = stream.place == Place::Read;
        stream.next = run.end;
        let (place, queue) = match run.left {
            Left::Nothing => (Place::Idle, None),
            Left::InTail => (Place::Hot, Some(&mut self.hot)),
            Left::InWindow => (Place::Read, Some(&mut self.read)),
            Left::InSegments => (Place::Unread, Some(&mut self.unread)),
        };
        stream.place = place;
        if let Some(queue) = queue {
            queue.push_back(number);
        }
        match (was_read, place == Place::Read) {
            (true, false) => self.reads -= 1,
            (false, true) => self.reads += 1,
            _ => {}
        }
    }

    /// Ends the frame. None if nothing is to be sent; a frame without parts is a ping.
    pub fn end_frame(&mut self, now: MonoNanos) -> Option<Frame> {
        let Filling { frame, cold_bytes, cold_max, has_watermark, .. } = std::mem::take(&mut self.filling);
        if has_watermark {
            self.watermarks_at = now;
        }
        self.is_urgent &= !self.watermarks.is_empty();
        if !self.hot.is_empty() {
            self.cold_debt += cold_bytes.saturating_sub(cold_max.unwrap_or(0));
        }
        if frame.parts == 0 && self.ping_due() > now {
            return None;
        }
        self.sent_at = now;
        Some(frame)
    }
}

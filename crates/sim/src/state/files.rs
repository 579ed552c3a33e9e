//! The contents of attachments.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::id::Id;

/// Bytes kept; the oldest files go first.
const KEPT: usize = 64 << 20;

/// A file.
#[derive(Debug, Clone)]
pub struct StoredFile {
    pub id: Id,
    pub content_type: Option<String>,
    pub content: Bytes,
}

/// The newest files.
#[derive(Debug, Default)]
pub struct Files {
    kept: VecDeque<StoredFile>,
    bytes: usize,
}

impl Files {
    pub fn push(&mut self, file: StoredFile) {
        self.bytes += file.content.len();
        self.kept.push_back(file);
        while self.bytes > KEPT {
            match self.kept.pop_front() {
                Some(oldest) => self.bytes -= oldest.content.len(),
                None => break,
            }
        }
    }

    pub fn get(&self, id: Id) -> Option<&StoredFile> {
        self.kept.iter().find(|file| file.id == id)
    }
}

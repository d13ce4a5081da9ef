//! A request's body on its way to the server behind, and the task that brings it there, which may outlive its viewer.
//!
//! The viewer's own task reads the body and hands it over piece by piece, its end as well: a body whose viewer has
//! left is never taken for whole. A request that was handed over whole goes on without its viewer, since its server
//! acts on it either way, and what it changed has to be forgotten; any other ends with its viewer.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kromka_net::BoxError;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinHandle};

/// Requests that may go on without their viewers at once; one more ends with its viewer.
const ALONE: usize = 256;

/// Why a body did not come whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is larger than is sent on.
    TooLarge,
    /// It broke off, or its frames make no sense.
    Broken,
}

/// The viewer's end.
pub(crate) struct Feed<B> {
    body: Limited<B>,
    pieces: mpsc::Sender<Piece>,
    /// The server takes the body: not before does a viewer who waits for a 100 get it.
    wanted: oneshot::Receiver<()>,
    whole: Whole,
}

/// The server's end.
pub(crate) struct Upload {
    pieces: mpsc::Receiver<Piece>,
    wanted: Option<oneshot::Sender<()>>,
    /// Bytes to come, if that is known.
    left: Option<u64>,
    over: bool,
    whole: Whole,
}

/// Whether a body has been handed over, its end as well; a clone is about the same one.
#[derive(Clone, Default)]
pub(crate) struct Whole(Arc<AtomicBool>);

enum Piece {
    Data(Bytes),
    End,
}

impl Whole {
    pub(crate) fn is(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    fn set(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Both ends of a body of which at most `limit` bytes are sent on.
pub(crate) fn ends<B: Body<Data = Bytes>>(body: B, limit: u64) -> (Feed<B>, Upload) {
    let (give, take) = mpsc::channel(1);
    let (want, wanted) = oneshot::channel();
    let whole = Whole::default();
    let left = body.size_hint().exact();
    let empty = body.is_end_stream();
    if empty {
        whole.set();
    }
    let upload = Upload { pieces: take, wanted: Some(want), left, over: empty, whole: whole.clone() };
    let body = Limited::new(body, usize::try_from(limit).unwrap_or(usize::MAX));
    (Feed { body, pieces: give, wanted, whole }, upload)
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>>> Feed<B> {
    pub(crate) fn whole(&self) -> Whole {
        self.whole.clone()
    }

    /// Hands the body over as it comes, until its end or until the server wants no more of it. Trailers are left out.
    ///
    /// # Errors
    /// It did not come whole; the server's end breaks off.
    pub(crate) async fn run(self) -> Result<(), Cut> {
        let Self { body, pieces, wanted, whole } = self;
        if wanted.await.is_err() {
            return Ok(());
        }
        let mut body = pin!(body);
        loop {
            let next = body.frame().await;
            let Ok(room) = pieces.reserve().await else { return Ok(()) };
            match next {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        room.send(Piece::Data(data));
                    }
                }
                Some(Err(error)) => {
                    return Err(if error.is::<LengthLimitError>() { Cut::TooLarge } else { Cut::Broken });
                }
                None => {
                    room.send(Piece::End);
                    whole.set();
                    return Ok(());
                }
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(wanted) = self.wanted.take() {
            // Nobody there any more shows below.
            let _ = wanted.send(());
        }
        if self.over {
            return Poll::Ready(None);
        }
        match ready!(self.pieces.poll_recv(cx)) {
            Some(Piece::Data(bytes)) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                // Who was told the length asks for no end behind it.
                if self.left == Some(0) {
                    self.whole.set();
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Piece::End) => {
                self.over = true;
                Poll::Ready(None)
            }
            None => Poll::Ready(Some(Err("the viewer's body broke off".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// How many requests go on without their viewers.
pub(crate) struct Alone(Arc<Semaphore>);

impl Default for Alone {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALONE)))
    }
}

/// A request under way. Dropped before its end, it goes on alone if it may, and ends otherwise.
pub(crate) struct Going<T> {
    task: JoinHandle<T>,
    /// That it may be left alone, if it was handed over whole.
    may_stay: Option<Whole>,
    alone: Arc<Semaphore>,
    /// Held by the task as well.
    leave: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Alone {
    /// Starts a request, which has to end by itself in bounded time once it was handed over whole.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        may_stay: Option<Whole>,
        request: impl Future<Output = T> + Send + 'static,
    ) -> Going<T> {
        let leave = Arc::default();
        let held = Arc::clone(&leave);
        let task = tokio::spawn(async move {
            let _held = held;
            request.await
        });
        Going { task, may_stay, alone: Arc::clone(&self.0), leave }
    }
}

impl<T> Future for Going<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.task).poll(cx)
    }
}

impl<T> Drop for Going<T> {
    fn drop(&mut self) {
        let stays = self.may_stay.as_ref().is_some_and(Whole::is);
        match Arc::clone(&self.alone).try_acquire_owned() {
            Ok(permit) if stays => *self.leave.lock() = Some(permit),
            _ => self.task.abort(),
        }
    }
}

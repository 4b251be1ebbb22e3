//! One connection to one broker: frames, correlation, versions.
//!
//! Requests may be pipelined: send many, then receive their answers in the same order. A broker stops reading requests
//! while its answers are not received. So the caller keeps the bytes in flight below what socket buffers hold, or receives
//! answers in between. After any error except [`ClientError::Encode`], [`ClientError::Version`] and
//! [`ClientError::Decode`] the stream's position is unknown, and the connection must be dropped.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

use crate::base::NodeId;
use crate::protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use crate::protocol::{ApiKey, ErrorCode, Message, Reader, encode_request, response_header_version};

use super::error::{ClientError, check_code};

/// How much memory is allocated ahead of an answer's bytes. The length that the answer claims is not allocated at once.
const READ_AHEAD_BYTES: usize = 1024 * 1024;
/// Pieces per `writev`; the kernel takes at most 1024.
const SLICES_PER_WRITE: usize = 64;

/// How connections behave.
#[derive(Clone, Debug)]
pub struct ConnectionOptions {
    /// Sent with every request; brokers show it in logs and quotas.
    pub client_id: String,
    pub connect_timeout: Duration,
    /// How long an answer may take beyond the time the request itself asks the broker to wait.
    pub request_timeout: Duration,
    /// Longest answer accepted. A fetch's limits are soft: the largest batch must fit too.
    pub frame_bytes_max: usize,
}

impl Default for ConnectionOptions {
    fn default() -> ConnectionOptions {
        ConnectionOptions {
            client_id: "ringmain".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            frame_bytes_max: 128 * 1024 * 1024,
        }
    }
}

#[derive(Debug)]
pub struct Connection {
    address: String,
    stream: TcpStream,
    options: ConnectionOptions,
    /// The versions that the broker says it serves, by API key.
    served: HashMap<i16, (i16, i16)>,
    in_flight: VecDeque<InFlight>,
    correlation_next: i32,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    correlation_id: i32,
    api: ApiKey,
    version: i16,
}

impl Connection {
    /// Connects to `HOST:PORT` and asks which versions the broker serves.
    pub fn connect(address: &str, options: &ConnectionOptions) -> Result<Connection, ClientError> {
        Connection::connect_to(None, address, options)
    }

    /// Connects as [`Connection::connect`] does, and says which node of which cluster is expected there (KIP-1242).
    pub fn connect_to(
        meant: Option<(&str, NodeId)>,
        address: &str,
        options: &ConnectionOptions,
    ) -> Result<Connection, ClientError> {
        let stream = open(address, options.connect_timeout)?;
        let mut connection = Connection {
            address: address.to_owned(),
            stream,
            options: options.clone(),
            served: HashMap::new(),
            in_flight: VecDeque::new(),
            correlation_next: 0,
        };
        connection.negotiate(meant)?;
        Ok(connection)
    }

    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Requests whose answers have not been received.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// The versions of an API this broker serves.
    #[must_use]
    pub fn served(&self, api: ApiKey) -> Option<(i16, i16)> {
        self.served.get(&api.code()).copied()
    }

    /// The newest version both sides speak, at most `version_max`.
    pub fn version_up_to<'a, M: Message<'a>>(&self, version_max: i16) -> Result<i16, ClientError> {
        let api = api_of::<M>();
        let unserved = || ClientError::Version { address: self.address.clone(), api };
        let (min, max) = self.served(api).ok_or_else(unserved)?;
        let version = max.min(*M::VERSIONS.end()).min(version_max);
        if version < min.max(*M::VERSIONS.start()) { Err(unserved()) } else { Ok(version) }
    }

    /// Sends a request in the newest version both sides speak.
    pub fn send<'a, M: Message<'a>>(&mut self, request: &M) -> Result<(), ClientError> {
        let version = self.version_up_to::<M>(i16::MAX)?;
        self.send_version(request, version)
    }

    pub fn send_version<'a, M: Message<'a>>(&mut self, request: &M, version: i16) -> Result<(), ClientError> {
        let in_flight = self.write_request(request, version)?;
        self.in_flight.push_back(in_flight);
        Ok(())
    }

    /// Sends a request that has no answer: Produce with acks 0.
    pub fn send_unanswered<'a, M: Message<'a>>(
        &mut self,
        request: &M,
        version: i16,
    ) -> Result<(), ClientError> {
        self.write_request(request, version).map(|_| ())
    }

    /// Sends bytes as they are; for tests and load generators that prepared them.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.write_all(bytes).map_err(|source| self.lost(source))
    }

    /// The answer to the oldest request in flight, waiting as long as [`ConnectionOptions::request_timeout`].
    pub fn receive(&mut self) -> Result<Response, ClientError> {
        self.receive_within(self.options.request_timeout)
    }

    /// The answer to the oldest request in flight.
    pub fn receive_within(&mut self, within: Duration) -> Result<Response, ClientError> {
        let due = self.in_flight.pop_front();
        let due = due.ok_or_else(|| ClientError::NothingAsked { address: self.address.clone() })?;
        let frame = self.read_frame(due.api, within)?;
        let mut reader = Reader::new(&frame);
        let decode = |source| ClientError::Decode { api: due.api, source };
        let got = reader.i32().map_err(decode)?;
        if got != due.correlation_id {
            let (address, expected) = (self.address.clone(), due.correlation_id);
            return Err(ClientError::Correlation { address, expected, got });
        }
        if response_header_version(due.api.code(), due.version) >= 1 {
            reader.skip_tagged_fields().map_err(decode)?;
        }
        let body_at = frame.len() - reader.rest().len();
        Ok(Response { api: due.api, version: due.version, frame, body_at })
    }

    /// Sends a request and waits for its answer. Nothing else may be in flight.
    pub fn call<'a, M: Message<'a>>(&mut self, request: &M) -> Result<Response, ClientError> {
        assert!(self.in_flight.is_empty(), "the next answer would belong to another request");
        self.send(request)?;
        self.receive()
    }

    /// The socket's descriptor, for waiting on several connections at once.
    pub(super) fn descriptor(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    fn write_request<'a, M: Message<'a>>(
        &mut self,
        request: &M,
        version: i16,
    ) -> Result<InFlight, ClientError> {
        let api = api_of::<M>();
        let correlation_id = self.correlation_next;
        let frame = encode_request(api, version, correlation_id, Some(&self.options.client_id), request)
            .map_err(|source| ClientError::Encode { api, source })?;
        self.correlation_next = correlation_id.wrapping_add(1);
        let mut slices: Vec<IoSlice<'_>> = frame.pieces().iter().map(|piece| IoSlice::new(piece)).collect();
        write_slices(&mut self.stream, &mut slices).map_err(|source| self.lost(source))?;
        Ok(InFlight { correlation_id, api, version })
    }

    fn read_frame(&mut self, api: ApiKey, within: Duration) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + within;
        let timed = |connection: &Connection, source: io::Error| match source.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                ClientError::Timeout { address: connection.address.clone(), api, within }
            }
            _ => connection.lost(source),
        };
        let mut size = Vec::new();
        self.read_exactly(4, &mut size, deadline).map_err(|source| timed(self, source))?;
        let bytes = i32::from_be_bytes(size.try_into().expect("four bytes were read"));
        let bytes_max = self.options.frame_bytes_max;
        let length = usize::try_from(bytes).ok().filter(|length| *length <= bytes_max);
        let refused = || ClientError::FrameSize { address: self.address.clone(), bytes, bytes_max };
        let length = length.ok_or_else(refused)?;
        let mut frame = Vec::new();
        self.read_exactly(length, &mut frame, deadline).map_err(|source| timed(self, source))?;
        Ok(frame)
    }

    fn read_exactly(&mut self, length: usize, into: &mut Vec<u8>, deadline: Instant) -> io::Result<()> {
        let mut filled = 0;
        while filled < length {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            if filled == into.len() {
                into.resize(length.min(filled + READ_AHEAD_BYTES), 0);
            }
            match self.stream.read(&mut into[filled..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Asks which versions the broker serves. The newest version of ApiVersions is tried first; a broker without it answers in
    /// version 0 with the ones it has (KIP-511).
    fn negotiate(&mut self, meant: Option<(&str, NodeId)>) -> Result<(), ClientError> {
        let mut request = ApiVersionsRequest {
            client_software_name: "ringmain".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        if let Some((cluster, node)) = meant {
            request.cluster_id = Some(cluster.into());
            request.node_id = node.0;
        }
        let mut version = *ApiVersionsRequest::VERSIONS.end();
        loop {
            self.send_version(&request, version)?;
            let mut answer = self.receive()?;
            let refused = answer.body().starts_with(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
            if refused {
                answer.version = 0;
            }
            let served = answer.decode::<ApiVersionsResponse<'_>>()?;
            self.served =
                served.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
            if !refused {
                return check_code(served.error_code, None, || self.address.clone());
            }
            let older = self.version_up_to::<ApiVersionsRequest<'_>>(version - 1)?;
            assert!(older < version, "each round asks for an older version");
            version = older;
        }
    }

    fn lost(&self, source: io::Error) -> ClientError {
        ClientError::Lost { address: self.address.clone(), source }
    }
}

/// A response, not yet decoded.
#[derive(Debug)]
pub struct Response {
    api: ApiKey,
    version: i16,
    frame: Vec<u8>,
    body_at: usize,
}

impl Response {
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// The bytes after the header.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        self.frame.get(self.body_at..).unwrap_or_default()
    }

    /// Reads the body; record data is borrowed from it.
    pub fn decode<'a, M: Message<'a>>(&'a self) -> Result<M, ClientError> {
        assert_eq!(M::API_KEY, self.api.code(), "an answer is decoded as what was asked for");
        let mut reader = Reader::new(self.body());
        M::decode(&mut reader, self.version)
            .and_then(|message| reader.finish().map(|()| message))
            .map_err(|source| ClientError::Decode { api: self.api, source })
    }

    /// The API, the version, the whole frame without its size, and where the body begins in it.
    pub(super) fn into_frame(self) -> (ApiKey, i16, bytes::Bytes, usize) {
        (self.api, self.version, self.frame.into(), self.body_at)
    }
}

fn api_of<'a, M: Message<'a>>() -> ApiKey {
    ApiKey::from_code(M::API_KEY).expect("requests and responses have an API key")
}

fn open(address: &str, timeout: Duration) -> Result<TcpStream, ClientError> {
    let connect = |source| ClientError::Connect { address: address.to_owned(), source };
    let candidates: Vec<SocketAddr> = address.to_socket_addrs().map_err(connect)?.collect();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for candidate in candidates {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(connect)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(connect(last))
}

fn write_slices(stream: &mut TcpStream, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    while !slices.is_empty() {
        let some = slices.len().min(SLICES_PER_WRITE);
        match stream.write_vectored(&slices[..some]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Waits until one of the connections has something to read, and says which have.
pub(super) fn wait_readable(descriptors: &[RawFd], within: Duration) -> io::Result<Vec<bool>> {
    let deadline = Instant::now() + within;
    let watch = |fd: &RawFd| libc::pollfd { fd: *fd, events: libc::POLLIN, revents: 0 };
    let mut watched: Vec<libc::pollfd> = descriptors.iter().map(watch).collect();
    let count = libc::nfds_t::try_from(watched.len()).map_err(io::Error::other)?;
    loop {
        // Rounded up: a timeout of 0 would spin through the last millisecond.
        let left = deadline.saturating_duration_since(Instant::now()).as_nanos().div_ceil(1_000_000);
        let timeout_ms = i32::try_from(left).unwrap_or(i32::MAX);
        // SAFETY: the pointer and the count describe one live, exclusively borrowed vector.
        let ready = unsafe { libc::poll(watched.as_mut_ptr(), count, timeout_ms) };
        if ready >= 0 {
            return Ok(watched.iter().map(|polled| polled.revents != 0).collect());
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread::JoinHandle;

    use crate::protocol::messages::api_versions_response::ApiVersion;
    use crate::protocol::messages::{MetadataRequest, MetadataResponse};
    use crate::protocol::{RequestHeader, encode_response};

    use super::*;

    fn read_request(stream: &mut TcpStream) -> Vec<u8> {
        let mut size = [0; 4];
        stream.read_exact(&mut size).expect("a request comes");
        let mut frame = vec![0; usize::try_from(u32::from_be_bytes(size)).expect("fits")];
        stream.read_exact(&mut frame).expect("it is whole");
        frame
    }

    fn versions(api_versions_max: i16) -> ApiVersionsResponse<'static> {
        let api = |key: ApiKey, min_version, max_version| ApiVersion {
            api_key: key.code(),
            min_version,
            max_version,
        };
        ApiVersionsResponse {
            api_keys: vec![api(ApiKey::ApiVersions, 0, api_versions_max), api(ApiKey::Metadata, 1, 5)],
            ..Default::default()
        }
    }

    /// A broker that has ApiVersions up to 2, then runs `serve`.
    fn broker(serve: impl FnOnce(&mut TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client comes");
            for expected in [5, 2] {
                let request = read_request(&mut stream);
                let header = RequestHeader::decode(&mut Reader::new(&request)).expect("a header");
                assert_eq!((header.api_version, header.client_id), (expected, Some("ringmain")));
                let mut body = versions(2);
                let version = if expected > 2 {
                    body.error_code = ErrorCode::UnsupportedVersion.code();
                    0
                } else {
                    expected
                };
                let id = header.correlation_id;
                let answer = encode_response(id, ApiKey::ApiVersions, version, &body).expect("encodes");
                stream.write_all(&answer.to_vec()).expect("the client listens");
            }
            serve(&mut stream);
        });
        (address, thread)
    }

    #[test]
    fn versions_are_negotiated_down_and_pipelined_answers_come_in_order() {
        let (address, thread) = broker(|stream| {
            let requests = [read_request(stream), read_request(stream)];
            for (request, controller_id) in requests.iter().zip([10, 11]) {
                let header = RequestHeader::decode(&mut Reader::new(request)).expect("a header");
                let body = MetadataResponse { controller_id, ..Default::default() };
                let answer = encode_response(header.correlation_id, ApiKey::Metadata, 5, &body);
                stream.write_all(&answer.expect("encodes").to_vec()).expect("the client listens");
            }
        });
        let mut connection = Connection::connect(&address, &ConnectionOptions::default()).expect("connects");
        assert_eq!(connection.served(ApiKey::Metadata), Some((1, 5)));
        connection.send(&MetadataRequest::default()).expect("sent");
        connection.send(&MetadataRequest::default()).expect("sent");
        for expected in [10, 11] {
            let answer = connection.receive().expect("answered");
            assert_eq!(answer.decode::<MetadataResponse<'_>>().expect("decodes").controller_id, expected);
        }
        assert!(matches!(connection.receive(), Err(ClientError::NothingAsked { .. })));
        thread.join().expect("the broker is content");
    }

    #[test]
    fn what_is_no_broker_is_refused() {
        let (address, thread) = broker(|stream| {
            read_request(stream);
            stream.write_all(b"HTTP/1.1 400").expect("the client listens");
        });
        let mut connection = Connection::connect(&address, &ConnectionOptions::default()).expect("connects");
        let error = connection.call(&MetadataRequest::default()).expect_err("no Kafka answer");
        assert!(matches!(error, ClientError::FrameSize { .. }), "{error}");
        thread.join().expect("the broker is content");
    }

    #[test]
    fn silence_is_a_timeout_and_a_close_is_a_loss() {
        let (address, thread) = broker(|stream| {
            read_request(stream);
        });
        let mut connection = Connection::connect(&address, &ConnectionOptions::default()).expect("connects");
        connection.send(&MetadataRequest::default()).expect("sent");
        thread.join().expect("the broker is gone");
        assert!(matches!(connection.receive(), Err(ClientError::Lost { .. })));

        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let options = ConnectionOptions { request_timeout: Duration::from_millis(20), ..Default::default() };
        assert!(matches!(Connection::connect(&address, &options), Err(ClientError::Timeout { .. })));
    }
}

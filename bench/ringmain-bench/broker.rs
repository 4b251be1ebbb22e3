//! A blocking connection for everything that is not measured: versions, metadata, topics, offsets.
//!
//! A server that shows its cores only to connections that name the node they mean (KIP-1242) is asked for the node first.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use ringmain::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse,
};
use ringmain::protocol::{ApiKey, Message, decode_body, encode_request, response_header_version};

use crate::error::BenchError;

pub const CLIENT_ID: &str = "ringmain-bench";
/// The version of ApiVersions that says which node is meant.
const NODES_NAMED_IN: i16 = 5;
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub struct Broker {
    stream: TcpStream,
    versions: Versions,
    correlation_id: i32,
}

/// What a broker serves.
#[derive(Clone, Debug, Default)]
pub struct Versions(Vec<(i16, i16, i16)>);

impl Versions {
    /// The highest version of an API that both sides have.
    pub fn common(&self, api: ApiKey, ours: i16) -> Result<i16, BenchError> {
        let row = self.0.iter().find(|(key, _, _)| *key == api.code());
        let (low, high) = row.map_or((0, -1), |(_, low, high)| (*low, *high));
        let version = high.min(ours);
        if version < low.max(0) {
            return Err(BenchError::Version { api: api.name(), low, high, ours });
        }
        Ok(version)
    }
}

impl Broker {
    /// Connects and asks for the broker's versions.
    pub fn connect(address: &str) -> Result<Broker, BenchError> {
        let mut broker = Broker::open(address, 3, &introduction())?;
        if broker.versions.common(ApiKey::ApiVersions, NODES_NAMED_IN)? < NODES_NAMED_IN {
            return Ok(broker);
        }
        let Some((cluster, node)) = broker.node_at(address)? else { return Ok(broker) };
        let named = ApiVersionsRequest { cluster_id: Some(cluster.into()), node_id: node, ..introduction() };
        match Broker::open(address, NODES_NAMED_IN, &named) {
            // The address is another's too: what any node says must do.
            Err(BenchError::Broker { .. }) => Ok(broker),
            opened => opened,
        }
    }

    fn open(
        address: &str,
        version: i16,
        introduction: &ApiVersionsRequest<'_>,
    ) -> Result<Broker, BenchError> {
        let stream = connect(address)?;
        let patience = Some(Duration::from_secs(60));
        stream.set_read_timeout(patience).map_err(BenchError::io("set timeout"))?;
        let mut broker = Broker { stream, versions: Versions::default(), correlation_id: 0 };
        let body = broker.exchange(ApiKey::ApiVersions, version, introduction)?;
        broker.versions = versions_of(&body, version)?;
        Ok(broker)
    }

    /// The cluster and the node that this address stands for, if it stands for one.
    fn node_at(&mut self, address: &str) -> Result<Option<(String, i32)>, BenchError> {
        let request = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        let (version, body) = self.call(ApiKey::Metadata, 12, &request)?;
        let answer: MetadataResponse<'_> = decode_body(&body, version)?;
        let mut nodes =
            answer.brokers.iter().filter(|node| format!("{}:{}", node.host, node.port) == address);
        let node = match (nodes.next(), nodes.next(), &answer.brokers[..]) {
            (Some(node), None, _) | (None, _, [node]) => node.node_id,
            _ => return Ok(None),
        };
        Ok(answer.cluster_id.map(|cluster| (cluster.into_owned(), node)))
    }

    /// The connection itself, once the broker knows who we are.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Sends a request at the highest version up to `ours` and returns that version and the answer's body.
    pub fn call<'a, M: Message<'a>>(
        &mut self,
        api: ApiKey,
        ours: i16,
        request: &M,
    ) -> Result<(i16, Vec<u8>), BenchError> {
        let version = self.versions.common(api, ours)?;
        Ok((version, self.exchange(api, version, request)?))
    }

    fn exchange<'a, M: Message<'a>>(
        &mut self,
        api: ApiKey,
        version: i16,
        request: &M,
    ) -> Result<Vec<u8>, BenchError> {
        self.correlation_id += 1;
        let frame = encode_request(api, version, self.correlation_id, Some(CLIENT_ID), request)?;
        self.stream.write_all(&frame.to_vec()).map_err(BenchError::io("send a request"))?;
        let mut size = [0; 4];
        self.stream.read_exact(&mut size).map_err(BenchError::io("read an answer"))?;
        let size = usize::try_from(i32::from_be_bytes(size)).map_err(|_| BenchError::Answer)?;
        if size > ANSWER_BYTES_MAX {
            return Err(BenchError::Answer);
        }
        let mut answer = vec![0; size];
        self.stream.read_exact(&mut answer).map_err(BenchError::io("read an answer"))?;
        let skip = if response_header_version(api.code(), version) >= 1 { 5 } else { 4 };
        Ok(answer.get(skip..).ok_or(BenchError::Answer)?.to_vec())
    }
}

/// A connection with Nagle's algorithm off.
fn connect(address: &str) -> Result<TcpStream, BenchError> {
    let unresolved = || BenchError::Address(address.to_owned());
    let target = address.to_socket_addrs().map_err(|_| unresolved())?.next().ok_or_else(unresolved)?;
    let stream = TcpStream::connect(target).map_err(BenchError::io("connect"))?;
    stream.set_nodelay(true).map_err(BenchError::io("set TCP_NODELAY"))?;
    Ok(stream)
}

/// How every connection begins: a broker may choose by name what it shows to whom.
fn introduction() -> ApiVersionsRequest<'static> {
    ApiVersionsRequest {
        client_software_name: CLIENT_ID.into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
        ..ApiVersionsRequest::default()
    }
}

fn versions_of(body: &[u8], version: i16) -> Result<Versions, BenchError> {
    let answer: ApiVersionsResponse<'_> = decode_body(body, version)?;
    if answer.error_code != 0 {
        return Err(BenchError::Broker { what: "ApiVersions", code: answer.error_code });
    }
    let rows = answer.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version));
    Ok(Versions(rows.collect()))
}

//! A client that sends what it is told, byte by byte, and notices when it is not answered.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_mins(1);

/// What was answered.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// One connection at a time, kept as long as the server keeps it.
pub(super) struct Client {
    address: SocketAddr,
    connection: Option<BufReader<TcpStream>>,
}

impl Client {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, connection: None }
    }

    /// Sends a request; the method, the target and the headers go out as they are.
    pub(super) fn ask(
        &mut self,
        line: &[u8],
        headers: &[u8],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut request = line.to_vec();
        request.extend_from_slice(b" HTTP/1.1\r\nhost: perilune\r\n");
        request.extend_from_slice(headers);
        request.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        request.extend_from_slice(body);
        // A server may close a connection between two requests, after one whose body it had no use for above all.
        if let Some(kept) = self.connection.take()
            && let Ok(answer) = self.exchange(kept, &request)
        {
            return Ok(answer);
        }
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        self.exchange(BufReader::new(stream), &request)
    }

    fn exchange(
        &mut self,
        mut connection: BufReader<TcpStream>,
        request: &[u8],
    ) -> std::io::Result<Answer> {
        connection.get_mut().write_all(request)?;
        let (answer, stays) = read(&mut connection)?;
        if stays {
            self.connection = Some(connection);
        }
        Ok(answer)
    }
}

fn read(connection: &mut BufReader<TcpStream>) -> std::io::Result<(Answer, bool)> {
    let odd = |text: &str| std::io::Error::other(text.to_owned());
    let (mut status, mut length, mut chunked, mut stays) = (None, None, false, true);
    let mut content_type = String::new();
    loop {
        let mut line = String::new();
        if connection.read_line(&mut line)? == 0 {
            return Err(odd("the connection was closed before the answer was whole"));
        }
        let line = line.trim_end();
        if status.is_none() {
            status = line.split(' ').nth(1).and_then(|word| word.parse().ok());
            status.ok_or_else(|| odd("the answer has no status"))?;
        } else if line.is_empty() {
            break;
        } else if let Some((name, value)) = line.split_once(": ") {
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse::<usize>().ok(),
                "content-type" => value.clone_into(&mut content_type),
                "transfer-encoding" => chunked = value == "chunked",
                "connection" => stays = value != "close",
                _ => {}
            }
        }
    }
    let status = status.unwrap_or_default();
    let mut body = Vec::new();
    if chunked {
        read_chunks(connection, &mut body)?;
    } else if let Some(length) = length {
        body.resize(length, 0);
        connection.read_exact(&mut body)?;
    } else if ![204, 304].contains(&status) {
        connection.read_to_end(&mut body)?;
        stays = false;
    }
    Ok((Answer { status, content_type, body }, stays))
}

fn read_chunks(connection: &mut BufReader<TcpStream>, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut line = String::new();
        connection.read_line(&mut line)?;
        let length = usize::from_str_radix(line.trim_end(), 16).map_err(std::io::Error::other)?;
        let begin = body.len();
        body.resize(begin + length, 0);
        connection.read_exact(&mut body[begin..])?;
        connection.read_line(&mut String::new())?;
        if length == 0 {
            return Ok(());
        }
    }
}

/// A text as a part of a path or a query may have it.
pub(super) fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        let is_plain = byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte);
        if is_plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}

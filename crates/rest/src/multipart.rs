//! `multipart/form-data`, as RFC 7578 and browsers write it. twilight's `Form` is not used: it lets a file name with a
//! quote or a line break write headers of its own, and has no place for a file's type.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::Error;
use crate::request::File;

/// A body and the `Content-Type` that describes it.
pub(crate) fn encode(json: Option<&Bytes>, files: &[File]) -> Result<(String, Bytes), Error> {
    let boundary: String = std::iter::repeat_with(fastrand::alphanumeric)
        .take(32)
        .collect();
    let size: usize = files.iter().map(|file| file.data.len() + 512).sum();
    let mut out = BytesMut::with_capacity(size + json.map_or(0, Bytes::len) + 512);
    if let Some(json) = json {
        part(
            &mut out,
            &boundary,
            "name=\"payload_json\"",
            Some("application/json"),
            json,
        );
    }
    for (i, file) in files.iter().enumerate() {
        let kind = file.content_type.as_deref();
        if kind.is_some_and(|kind| kind.bytes().any(|b| !(b' '..=b'~').contains(&b))) {
            return Err(Error::InvalidRequest(format!(
                "files.{i}.content_type: not a media type"
            )));
        }
        let name = format!("name=\"files[{i}]\"; filename=\"{}\"", escape(&file.name));
        part(&mut out, &boundary, &name, kind, &file.data);
    }
    out.put_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok((
        format!("multipart/form-data; boundary={boundary}"),
        out.freeze(),
    ))
}

fn part(out: &mut BytesMut, boundary: &str, name: &str, content_type: Option<&str>, data: &[u8]) {
    let kind = content_type
        .map(|kind| format!("Content-Type: {kind}\r\n"))
        .unwrap_or_default();
    out.put_slice(
        format!("--{boundary}\r\nContent-Disposition: form-data; {name}\r\n{kind}\r\n").as_bytes(),
    );
    out.put_slice(data);
    out.put_slice(b"\r\n");
}

/// WHATWG HTML's escapes for a name in a form.
fn escape(name: &str) -> String {
    name.replace('"', "%22")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_parts_in_order() {
        let file = File {
            name: "a\"b\r\nX: y.png".into(),
            content_type: Some("image/png".into()),
            data: Bytes::from_static(b"\x89PNG"),
        };
        let (content_type, body) = encode(Some(&Bytes::from_static(b"{}")), &[file]).unwrap();
        let boundary = content_type
            .strip_prefix("multipart/form-data; boundary=")
            .unwrap();
        let mut expected = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"payload_json\"\r\n\
             Content-Type: application/json\r\n\r\n{{}}\r\n\
             --{boundary}\r\nContent-Disposition: form-data; name=\"files[0]\"; filename=\"a%22b%0D%0AX: y.png\"\r\n\
             Content-Type: image/png\r\n\r\n"
        )
        .into_bytes();
        expected.extend_from_slice(b"\x89PNG\r\n");
        expected.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        assert_eq!(body, expected);
    }

    #[test]
    fn a_type_cannot_write_a_header() {
        let file = File {
            name: "a".into(),
            content_type: Some("text/plain\r\nX: y".into()),
            data: Bytes::new(),
        };
        assert!(matches!(
            encode(None, &[file]),
            Err(Error::InvalidRequest(_))
        ));
    }
}

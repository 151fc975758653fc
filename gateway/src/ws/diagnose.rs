//! Reads a client's message, and finds out what is wrong with one that can't be read: whether it is no message at all,
//! or which field is at fault. Pure.

use std::fmt;

use bytes::Bytes;
use seatwire_protocol::ws::ClientMessage;
use seatwire_protocol::{ErrorBody, codec};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::frame::Encoding;

/// A message that could not be read.
#[derive(Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Request id, where one could be seen.
    pub id: Option<u64>,
    pub error: Box<ErrorBody>,
    /// Not even the encoding is right.
    pub garbage: bool,
}

/// Reads a message.
///
/// # Errors
/// [`Unreadable`] with the field at fault where it can be told.
pub fn read(encoding: Encoding, payload: &Bytes) -> Result<ClientMessage, Unreadable> {
    let message = match encoding {
        Encoding::Json => serde_json::from_slice(payload).map_err(|e| e.to_string()),
        Encoding::Msgpack => codec::decode(payload).map_err(|e| e.to_string()),
    };
    // Only a message that is wrong is read twice.
    let fields = || match encoding {
        Encoding::Json => serde_json::from_slice(payload).ok(),
        Encoding::Msgpack => codec::decode::<Loose>(payload).ok().map(|loose| loose.0),
    };
    match message {
        Ok(ClientMessage::Unknown) => {
            let id = fields().as_ref().and_then(|fields| fields.get("id")).and_then(Value::as_u64);
            Err(Unreadable { id, error: Box::new(ErrorBody::bad_request("t", "unknown message")), garbage: false })
        }
        Ok(message) => Ok(message),
        Err(text) => Err(explain(fields(), &text)),
    }
}

fn explain(value: Option<Value>, text: &str) -> Unreadable {
    let Some(Value::Object(fields)) = value else {
        let what = if value.is_some() { "expected a map" } else { text };
        let error = ErrorBody::bad_request("message", what.to_owned());
        return Unreadable { id: None, error: Box::new(error), garbage: true };
    };
    let id = fields.get("id").and_then(Value::as_u64);
    if !fields.contains_key("t") {
        return Unreadable { id, error: Box::new(ErrorBody::bad_request("t", text)), garbage: false };
    }
    let (field, text) = fault_in::<ClientMessage>(&fields).unwrap_or_else(|| ("message".to_owned(), text.to_owned()));
    Unreadable { id, error: Box::new(ErrorBody::bad_request(&field, text)), garbage: false }
}

/// Which of these fields keeps them from being a `T`, and the parser's words about it, without the format's own about
/// lines and columns. The parser stops at the first bad field, so taking away any other leaves its words as they are.
pub fn fault_in<T: DeserializeOwned>(fields: &Map<String, Value>) -> Option<(String, String)> {
    let text = fault::<T>(fields)?;
    let missing = text.strip_prefix("missing field `").and_then(|rest| rest.split_once('`'));
    if let Some((name, _)) = missing {
        return Some((name.to_owned(), text));
    }
    let innocent = |name: &str| {
        let mut others = fields.clone();
        others.remove(name);
        fault::<T>(&others).is_some_and(|other| other == text)
    };
    let field = fields.keys().filter(|name| *name != "t").find(|name| !innocent(name));
    Some((field.cloned().unwrap_or_else(|| "message".to_owned()), text))
}

fn fault<T: DeserializeOwned>(fields: &Map<String, Value>) -> Option<String> {
    serde_json::from_value::<T>(Value::Object(fields.clone())).err().map(|e| e.to_string())
}

/// Any MessagePack value that a message may hold, as JSON would have it: bytes become hex digits, which ids read too.
struct Loose(Value);

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(LooseVisitor).map(Self)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(Value::Bool(v))
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, v: &str) -> Result<Value, E> {
        Ok(Value::from(v))
    }

    fn visit_bytes<E>(self, v: &[u8]) -> Result<Value, E> {
        Ok(Value::from(v.iter().map(|byte| format!("{byte:02x}")).collect::<String>()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut out = Vec::new();
        while let Some(Loose(value)) = seq.next_element()? {
            out.push(value);
        }
        Ok(Value::Array(out))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut out = Map::new();
        while let Some((key, Loose(value))) = map.next_entry::<String, Loose>()? {
            out.insert(key, value);
        }
        Ok(Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Result<ClientMessage, Unreadable> {
        read(Encoding::Json, &Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn the_field_at_fault_is_named_in_both_encodings() {
        let table = [
            (r#"{"id":1,"show":7}"#, "t"),
            (r#"{"t":"dance","id":4}"#, "t"),
            (r#"{"t":"watch"}"#, "show"),
            (r#"{"t":"watch","show":"x"}"#, "show"),
            (r#"{"t":"watch","show":0}"#, "show"),
            (r#"{"t":"watch","show":-1}"#, "show"),
            (r#"{"t":"watch","show":1.5}"#, "show"),
            (r#"{"t":"watch","show":18446744073709551615}"#, "show"),
            (r#"{"t":"watch","show":7,"pos":[]}"#, "pos"),
            (r#"{"t":"watch","show":7,"pos":{"g":1,"s":"x"}}"#, "pos"),
            (r#"{"t":"hide","hidden":1}"#, "hidden"),
            (r#"{"t":"hold","id":1,"show":7,"key":"","seats":[1]}"#, "key"),
            (r#"{"t":"hold","id":1,"show":7,"key":"a b","seats":[1]}"#, "key"),
            (r#"{"t":"hold","id":1,"show":7,"key":"k","seats":[-1]}"#, "seats"),
            (r#"{"t":"hold","id":1,"show":7,"key":"k","seats":["A5"]}"#, "seats"),
            (r#"{"t":"hold","id":"one","show":7,"key":"k","seats":[1]}"#, "id"),
            (r#"{"t":"release","id":1,"show":7,"hold":"xyz"}"#, "hold"),
            (r#"{"t":"booking","id":1,"booking":"../x"}"#, "booking"),
            (r#"{"t":"book","id":1,"show":7,"hold":"00000000000000000000000000000000","key":"k"}"#, "email"),
        ];
        for (text, field) in table {
            let error = json(text).unwrap_err();
            assert_eq!(error.error.field.as_deref(), Some(field), "{text}: {:?}", error.error);
            assert!(!error.garbage, "{text}");
            let value: Value = serde_json::from_str(text).unwrap();
            let packed = rmp_encode(&value);
            let error = read(Encoding::Msgpack, &packed).unwrap_err();
            assert_eq!(error.error.field.as_deref(), Some(field), "packed {text}: {:?}", error.error);
        }
    }

    #[test]
    fn the_request_id_is_seen_in_a_bad_command() {
        let error = json(r#"{"t":"hold","id":9,"show":7,"key":"k","seats":{}}"#).unwrap_err();
        assert_eq!(error.id, Some(9));
    }

    #[test]
    fn garbage_is_told_from_mistakes() {
        for garbage in ["", "{", "[1,2]", "7", "null", "\u{1}"] {
            assert!(json(garbage).unwrap_err().garbage, "{garbage:?}");
        }
        let good = codec::encode(&ClientMessage::Hide { hidden: true });
        let trailing = [good.as_slice(), &[0]].concat();
        for garbage in [&[][..], &[0xC1], &[0x81, 0xA1], &[0xDD, 0xFF, 0xFF, 0xFF, 0xFF], &[0x91; 4_000], &trailing] {
            assert!(read(Encoding::Msgpack, &Bytes::copy_from_slice(garbage)).unwrap_err().garbage);
        }
        assert_eq!(read(Encoding::Msgpack, &good.into()), Ok(ClientMessage::Hide { hidden: true }));
    }

    fn rmp_encode(value: &Value) -> Bytes {
        codec::encode(value).into()
    }
}

//! runtime/api

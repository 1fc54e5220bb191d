//! Baidu Netdisk.

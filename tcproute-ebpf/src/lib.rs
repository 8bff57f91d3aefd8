//! Empty: cargo tracks the dependencies of a package through its library.

#![no_std]

// SPDX-License-Identifier: MIT OR GPL-2.0-only

//! Empty: cargo tracks the dependencies of a package through its library.

#![no_std]

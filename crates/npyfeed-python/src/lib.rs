//! The Python extension module of npyfeed: conversion only

"""What makes a program built on Standpipe testable: conformance suites, a virtual clock, simulation."""

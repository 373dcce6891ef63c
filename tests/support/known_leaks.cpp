/// Leaks of libraries that LeakSanitizer is not to report; compiled into each program of the tests.

/// libpqxx 6.4 throws broken_connection before it owns the result that libpq made: some 2 kB for each
/// statement that finds its connection lost.
extern "C" const char* __lsan_default_suppressions() { return "leak:PQmakeEmptyPGresult\n"; }

"""How many streams this host holds, and who gets one."""

package diff;


import com.fasterxml.jackson.core.*;
import com.fasterxml.jackson.databind.*;
import com.fasterxml.jackson.databind.node.*;
import java.io.*;
import java.lang.reflect.*;
import java.net.*;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.regex.*;
import org.apache.kafka.common.message.*;
import org.apache.kafka.common.protocol.*;
import org.apache.kafka.common.record.*;
import org.apache.kafka.common.record.internal.*;

/** The scenario files: what is sent, on which connection, and what is kept of the answers. */
final class Scenarios {
    static class Step { int line; String kind, conn = "A", api, versions, body, wait; Map<String, String> opts = new HashMap<>(); Map<String, String> caps = new LinkedHashMap<>(); boolean async; }
    static class Scenario { String name; String eachApi, eachVersions; List<Step> steps = new ArrayList<>(); }

    static int depth(String s) {
        int d = 0; char q = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (q != 0) { if (c == '\\') i++; else if (c == q) q = 0; }
            else if (c == '"' || c == '\'') q = c;
            else if (c == '{' || c == '[') d++;
            else if (c == '}' || c == ']') d--;
        }
        return d;
    }

    static int close(String s) {
        int d = 0; char q = 0;
        for (int i = 0; i < s.length(); i++) {
            char c = s.charAt(i);
            if (q != 0) { if (c == '\\') i++; else if (c == q) q = 0; }
            else if (c == '"' || c == '\'') q = c;
            else if (c == '{' || c == '[') d++;
            else if (c == '}' || c == ']') { if (--d == 0) return i; }
        }
        return s.length() - 1;
    }

    static List<Scenario> parse(Path p) throws IOException {
        List<Scenario> all = new ArrayList<>();
        Scenario sc = null;
        List<String> lines = Files.readAllLines(p);
        String base = p.getFileName().toString().replaceAll("\\.txt$", "");
        for (int i = 0; i < lines.size(); i++) {
            String l = lines.get(i).strip(); int at = i + 1;
            if (l.isEmpty() || l.startsWith("#")) continue;
            if (l.startsWith("==")) { // == name [foreach Api [versions]]
                String[] w = l.substring(2).strip().split("\\s+");
                sc = new Scenario(); sc.name = base + "/" + w[0];
                if (w.length > 2 && w[1].equals("foreach")) { sc.eachApi = w[2]; sc.eachVersions = w.length > 3 ? w[3] : "*"; }
                all.add(sc); continue;
            }
            if (sc == null) { sc = new Scenario(); sc.name = base; all.add(sc); }
            Step s = new Step(); s.line = at;
            if (l.startsWith("sleep ")) { s.kind = "sleep"; s.body = l.substring(6).strip(); sc.steps.add(s); continue; }
            if (l.startsWith("set ")) { s.kind = "set"; s.body = l.substring(4).strip(); sc.steps.add(s); continue; }
            if (l.startsWith("close ")) { s.kind = "close"; s.conn = l.substring(6).strip().substring(1); sc.steps.add(s); continue; }
            if (l.startsWith("wait ")) {
                s.kind = "wait"; String r = l.substring(5); int a = r.indexOf("->");
                if (a >= 0) { caps(s, r.substring(a + 2)); r = r.substring(0, a); }
                s.conn = r.strip().substring(1); sc.steps.add(s); continue;
            }
            if (l.startsWith("->")) { caps(sc.steps.get(sc.steps.size() - 1), l.substring(2)); continue; }
            while (depth(l) > 0) { i++; l += "\n" + lines.get(i).strip(); }
            s.kind = "req";
            int b = l.indexOf('{'); String head = b < 0 ? l : l.substring(0, b), rest = b < 0 ? "{}" : l.substring(b);
            if (b < 0) { int a = head.indexOf("->"); if (a >= 0) { caps(s, head.substring(a + 2)); head = head.substring(0, a); } }
            else { int e = close(rest); String tail = rest.substring(e + 1).strip(); rest = rest.substring(0, e + 1); if (tail.startsWith("->")) caps(s, tail.substring(2)); }
            s.body = rest;
            List<String> w = new ArrayList<>(List.of(head.strip().split("\\s+")));
            if (w.get(0).startsWith("@")) { s.conn = w.remove(0).substring(1); if (s.conn.endsWith("&")) { s.async = true; s.conn = s.conn.substring(0, s.conn.length() - 1); } }
            s.api = w.remove(0); s.versions = w.isEmpty() ? "*" : w.remove(0);
            for (String o : w) { int e = o.indexOf('='); s.opts.put(e < 0 ? o : o.substring(0, e), e < 0 ? "" : o.substring(e + 1)); }
            sc.steps.add(s);
        }
        return all;
    }
    static void caps(Step s, String t) { for (String c : t.strip().split("\\s+")) { int e = c.indexOf('='); s.caps.put(c.substring(0, e), c.substring(e + 1)); } }

    static ApiKeys api(String name) {
        for (ApiKeys k : ApiKeys.values()) if (k.messageType.name.equals(name)) return k;
        throw new IllegalArgumentException("no API " + name);
    }
    static List<Integer> versions(String api, String spec) {
        ApiKeys k = api(api); int lo = k.messageType.lowestSupportedVersion(), hi = k.messageType.highestSupportedVersion(false);
        if (!spec.equals("*")) {
            String[] p = spec.split("-");
            int a = Integer.parseInt(p[0]), b = spec.endsWith("-") ? hi : p.length > 1 ? Integer.parseInt(p[1]) : a;
            lo = Math.max(a, lo); hi = Math.min(b, hi);
        }
        List<Integer> r = new ArrayList<>(); for (int v = lo; v <= hi; v++) r.add(v); return r;
    }
}

// SPDX-License-Identifier: Apache-2.0
// net/http over TLS, which speaks HTTP/2 where the server does. Argument: the base URL.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
)

func expect(fine bool, what string) {
	if !fine {
		panic(what)
	}
}

func ask(method, url string, body []byte) (*http.Response, []byte) {
	request, err := http.NewRequest(method, url, bytes.NewReader(body))
	expect(err == nil, "request")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		panic(err)
	}
	expect(answer.ProtoMajor == 2, "HTTP/2, not "+answer.Proto)
	return answer, content
}

func main() {
	base := os.Args[1]
	answer, body := ask("GET", base+"/first", nil)
	expect(string(body) == "/first" && answer.Trailer.Get("X-Sum") == "6", "the first answer")
	seen := answer.Header.Get("X-Seen")
	large := bytes.Repeat([]byte("0123456789"), 300000)
	var group sync.WaitGroup
	for i := 0; i < 50; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			path := "/item/" + strconv.Itoa(i)
			answer, body := ask("GET", base+path, nil)
			expect(string(body) == path && answer.Header.Get("X-Seen") == seen, path)
		}()
	}
	for i := 0; i < 3; i++ {
		group.Add(2)
		go func() {
			defer group.Done()
			_, body := ask("POST", base+"/echo", large)
			expect(bytes.Equal(body, large), "an upload comes back")
		}()
		go func() {
			defer group.Done()
			answer, body := ask("GET", base+"/admin/x", nil)
			var problem struct{ Rule string }
			expect(answer.StatusCode == 403 && json.Unmarshal(body, &problem) == nil &&
				problem.Rule == "no-admin", "a refusal")
		}()
	}
	group.Wait()
	_, body = ask("GET", base+"/slowly", nil)
	expect(bytes.Count(body, []byte("\n")) == 5, "a slow answer")
	_, body = ask("GET", base+"/large", nil)
	expect(len(body) == 5000000, "a large answer")
	fmt.Println("go fine")
}

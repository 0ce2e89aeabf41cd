# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A page in headless Chromium, spoken to through two pipes in its own protocol."""
import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

FLAGS = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
         '--disable-background-networking', '--disable-component-update', '--disable-sync',
         '--disable-dev-shm-usage', '--hide-scrollbars', '--force-device-scale-factor=1',
         '--window-size=1200,820', '--remote-debugging-pipe']
PATIENCE = 90


def find():
    return shutil.which('chromium') or shutil.which('chromium-browser') or shutil.which('google-chrome')


class Page:
    """with Page(path) as page: errors of its scripts and what it asked of the network are in lists."""

    def __init__(self, path):
        self.profile = tempfile.mkdtemp(prefix='gmem-chromium-')
        self.url = 'file://' + os.path.abspath(path)
        self.errors, self.requests, self.number, self.buffer = [], [], 0, b''
        self.session = None

    def __enter__(self):
        to_it, self.write_end = os.pipe()
        self.read_end, from_it = os.pipe()

        def place():
            os.dup2(to_it, 13)
            os.dup2(from_it, 14)
            os.dup2(13, 3)
            os.dup2(14, 4)
        self.process = subprocess.Popen(
            [find(), *FLAGS, f'--user-data-dir={self.profile}', 'about:blank'], close_fds=False,
            preexec_fn=place, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(to_it)
        os.close(from_it)
        try:
            self.open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.write_end)
        os.close(self.read_end)
        shutil.rmtree(self.profile, ignore_errors=True)

    def open(self):
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        for domain in ('Page', 'Runtime', 'Network'):
            self.call(domain + '.enable')
        self.call('Page.navigate', url=self.url)
        self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    def receive(self):
        end = time.monotonic() + PATIENCE
        while b'\0' not in self.buffer:
            ready, _, _ = select.select([self.read_end], [], [], max(0, end - time.monotonic()))
            data = os.read(self.read_end, 1 << 20) if ready else b''
            if not data:
                raise RuntimeError('Chromium does not answer')
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def note(self, message):
        if message.get('method') == 'Runtime.exceptionThrown':
            self.errors.append(json.dumps(message['params'])[:500])
        if message.get('method') == 'Network.requestWillBeSent':
            self.requests.append(message['params']['request']['url'])

    def call(self, method, **params):
        self.number += 1
        message = {'id': self.number, 'method': method, 'params': params}
        if self.session:
            message['sessionId'] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b'\0')
        while True:
            answer = self.receive()
            if answer.get('id') == self.number:
                if 'error' in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer['result']
            self.note(answer)

    def ask(self, expression):
        answer = self.call('Runtime.evaluate', expression=expression, returnByValue=True)
        if 'exceptionDetails' in answer:
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']}")
        return answer['result'].get('value')

    def until(self, expression):
        end = time.monotonic() + PATIENCE
        while not self.ask(expression):
            if time.monotonic() > end:
                raise RuntimeError(f'never: {expression}')
            time.sleep(0.02)

    def mouse(self, kind, x, y, **more):
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def key(self, key, code=0):
        for kind in ('keyDown', 'keyUp'):
            self.call('Input.dispatchKeyEvent', type=kind, key=key, windowsVirtualKeyCode=code)

    def screenshot(self, path):
        with open(path, 'wb') as f:
            f.write(base64.b64decode(self.call('Page.captureScreenshot', format='png')['data']))
